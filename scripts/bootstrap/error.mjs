/** A failure whose message tells the user what to do; printed without a stack. */
export class BootstrapError extends Error {
  /** @override */
  name = "BootstrapError";
}
