import type { StepReport } from "./train.ts";

export type ProgressOptions = {
  /** A person who watches sees every step, a log one line in half a minute. */
  isTerminal: boolean;
  write: (line: string) => void;
  /** Milliseconds. */
  now: () => number;
};

const LOG_INTERVAL = 30_000;

/** Weight of earlier steps in the time that a step takes. */
const KEPT = 0.9;

/** Says how training goes: steps, running means, speed, and when it will end. */
export function trainingProgress({ isTerminal, write, now }: ProgressOptions): (report: StepReport) => void {
  let said = Number.NEGATIVE_INFINITY;
  let stepSeconds: number | undefined;
  return (report) => {
    const { step, steps, running, tokens, seconds } = report;
    stepSeconds = stepSeconds === undefined ? seconds : KEPT * stepSeconds + (1 - KEPT) * seconds;
    if (!isTerminal && step < steps && now() - said < LOG_INTERVAL) return;
    said = now();
    const means = Object.entries(running).map(([name, mean]) => `${name} ${mean.toFixed(3)}`);
    const speed = `${Math.round(tokens / seconds)} tok/s`;
    const left = step < steps ? [`${durationText((steps - step) * stepSeconds)} left`] : [];
    write([`step ${step}/${steps}`, ...means, speed, ...left].join("  "));
  };
}

/** "45 s", "12 min", "1 h 05 min". */
export function durationText(seconds: number): string {
  const minutes = Math.round(seconds / 60);
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}
