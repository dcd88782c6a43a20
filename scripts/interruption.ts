/** What a shell calls the end of a program by Ctrl-C. */
export const INTERRUPTED = 130;

/**
 * Turns the signals that end a program into an abort, once; the next one ends the process at once, for a person who presses Ctrl-C
 * again does not want to wait for answers that are still being written.
 */
export function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(INTERRUPTED);
      controller.abort();
    });
  }
  return controller.signal;
}

/** Resolves when `signal` is aborted, also if it was before. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
