import { parseArgs } from "node:util";
import { wholeNumber } from "../engine/options.ts";
import type { Cell } from "./batches.ts";

/** How much is measured. */
export type TrainPlan = {
  name: "full" | "quick" | "smoke";
  /** Rounds that count; one more goes before them to warm up. */
  pairs: number;
  /** Steps that a trainer takes in a round. */
  steps: number;
  cells: Cell[];
};

export type TrainOptions = { plan: TrainPlan; threads: number | null };

/** The cell of the ratio that stands for all. */
export const MAIN_CELL = "sft_8x128";

const CELLS: Cell[] = [
  { name: MAIN_CELL, rows: 8, tokens: 128, contrast: false },
  { name: "sft_4x256", rows: 4, tokens: 256, contrast: false },
  { name: "contrast_8x128", rows: 8, tokens: 128, contrast: true },
];

const PLANS: Record<TrainPlan["name"], TrainPlan> = {
  full: { name: "full", pairs: 5, steps: 2, cells: CELLS },
  quick: { name: "quick", pairs: 3, steps: 1, cells: CELLS.slice(0, 1) },
  // Whether everything works, not how fast it is.
  smoke: {
    name: "smoke",
    pairs: 1,
    steps: 1,
    cells: CELLS.map((cell) => ({ ...cell, rows: 2, tokens: 24 })),
  },
};

const USAGE = `npm run bench:train -- [options]

  --quick            three pairs of the main cell, for a first look
  --smoke            one pair of tiny cells: whether everything works
  --pairs <number>   rounds that count (full: 5, quick: 3)
  --threads <number> threads of every trainer (default: the physical cores)

Only a full run writes test/bench/results.`;

/** @returns `null` where help was asked for, and printed */
export function readTrainOptions(args: string[]): TrainOptions | null {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: "boolean" },
      smoke: { type: "boolean" },
      pairs: { type: "string" },
      threads: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return null;
  }
  const plan = PLANS[values.smoke ? "smoke" : values.quick ? "quick" : "full"];
  return {
    plan: values.pairs === undefined ? plan : { ...plan, pairs: wholeNumber("--pairs", values.pairs) },
    threads: values.threads === undefined ? null : wholeNumber("--threads", values.threads),
  };
}
