/** A failure whose message tells the user what happened and what to do; shown without a stack. */
export class StackError extends Error {
  override readonly name = "StackError";
}
