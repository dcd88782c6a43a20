import { durationText } from "../training/progress.ts";

export type ProgressOptions = {
  /** A person who watches hears every second, a log every half minute. */
  isTerminal: boolean;
  write: (line: string) => void;
  /** Milliseconds. */
  now: () => number;
};

/** Says how far a count has come, and when it will be done by the speed since the first call. */
export function countProgress(
  noun: string,
  { isTerminal, write, now }: ProgressOptions,
): (done: number, total: number) => void {
  let first: { done: number; at: number } | undefined;
  let said = Number.NEGATIVE_INFINITY;
  return (done, total) => {
    const at = now();
    first ??= { done, at };
    if (done < total && at - said < (isTerminal ? 1000 : 30_000)) return;
    said = at;
    const share = `${done.toLocaleString("en")} of ${total.toLocaleString("en")} ${noun}`;
    const more = done - first.done;
    const left = (((at - first.at) / 1000) * (total - done)) / more;
    write(more === 0 || done === total ? share : `${share}, ${durationText(left)} left`);
  };
}
