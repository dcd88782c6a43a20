/** Reports how far a step is, 0–1. */
type Report = (fraction: number) => void;

export type Step = <T>(title: string, work: (report: Report) => Promise<T>) => Promise<T>;

/** Tells whoever waits what is being done. */
export type Progress = {
  step: Step;
  /** Something worth knowing that does not stop the stack. */
  notice(text: string): void;
};

/** For tests, which have reports of their own. */
export const silentProgress: Progress = { step: (_title, work) => work(() => {}), notice: () => {} };

/** Steps that fail as soon as `signal` is aborted, with its reason; the work they began is left to end by itself. */
export function untilAborted(progress: Progress, signal = new AbortController().signal): Step {
  return (title, work) =>
    progress.step(title, async (report) => {
      signal.throwIfAborted();
      const { promise: aborted, reject } = Promise.withResolvers<never>();
      const onAbort = () => reject(signal.reason);
      signal.addEventListener("abort", onAbort, { once: true });
      try {
        return await Promise.race([work(report), aborted]);
      } finally {
        signal.removeEventListener("abort", onAbort);
      }
    });
}
