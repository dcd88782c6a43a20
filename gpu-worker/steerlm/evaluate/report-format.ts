import type { Estimate } from "./estimate.ts";

/** A table in Markdown. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

type Maybe = Estimate | null | undefined;

export const percent = (share: number) => `${(100 * share).toFixed(0)} %`;

/** With a proper minus, but none before what is 0 when rounded. */
const fixed = (value: number, digits: number) =>
  value
    .toFixed(digits)
    .replace(/^-(?=.*[1-9])/, "−")
    .replace("-", "");
export const signed = (value: number, digits: number) => `${value > 0 ? "+" : ""}${fixed(value, digits)}`;
export const valueText = (estimate: Maybe, digits: number): string => (estimate ? fixed(estimate.value, digits) : "–");

/** "0.91 [0.85, 0.95]". */
export function intervalText(estimate: Maybe, digits: number): string {
  if (!estimate) return "–";
  const { low, high } = estimate;
  const shown = (value: number) => fixed(value, digits);
  return low === null || high === null
    ? shown(estimate.value)
    : `${shown(estimate.value)} [${shown(low)}, ${shown(high)}]`;
}

export function changeText(estimate: Maybe, digits: number): string {
  if (!estimate) return "–";
  const { value, low, high } = estimate;
  return low === null || high === null
    ? signed(value, digits)
    : `${signed(value, digits)} [${signed(low, digits)}, ${signed(high, digits)}]`;
}

/** A difference of logarithms as the factor it is. */
export function factorText(estimate: Maybe): string {
  if (!estimate) return "–";
  const { value, low, high, n } = estimate;
  const exp = (logarithm: number | null) => (logarithm === null ? null : Math.exp(logarithm));
  return `× ${intervalText({ value: Math.exp(value), low: exp(low), high: exp(high), n }, 2)}`;
}
