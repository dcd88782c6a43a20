import { parseArgs } from "node:util";
import { ALL_ENGINES, type EngineName, isEngineName } from "./engines.ts";

/** How much is measured. */
export type Plan = {
  name: "full" | "quick" | "smoke";
  /** Rounds that count; one more goes before them to warm up. */
  pairs: number;
  prefillTokens: number[];
  decodeRows: number[];
  /** Prompt tokens of each row that decodes. */
  decodePrompt: number;
  /** Tokens a row decodes while the clock runs. */
  decodeSteps: number;
  http: { pairs: number; clients: number; requestsPerClient: number; maxTokens: number };
};

export type Options = { plan: Plan; threads: number | null; engines: EngineName[] };

const FULL: Plan = {
  name: "full",
  pairs: 5,
  prefillTokens: [256, 1024],
  decodeRows: [1, 4, 8, 16],
  decodePrompt: 256,
  decodeSteps: 32,
  http: { pairs: 5, clients: 8, requestsPerClient: 3, maxTokens: 48 },
};

const PLANS: Record<Plan["name"], Plan> = {
  full: FULL,
  quick: {
    ...FULL,
    name: "quick",
    pairs: 3,
    prefillTokens: [256],
    decodeRows: [1, 8],
    decodeSteps: 24,
    http: { pairs: 2, clients: 8, requestsPerClient: 1, maxTokens: 32 },
  },
  // Whether everything works, not how fast it is.
  smoke: {
    ...FULL,
    name: "smoke",
    pairs: 1,
    prefillTokens: [32],
    decodeRows: [1, 2],
    decodePrompt: 16,
    decodeSteps: 4,
    http: { pairs: 1, clients: 2, requestsPerClient: 1, maxTokens: 4 },
  },
};

const USAGE = `npm run bench:engine -- [options]

  --quick            fewer cells and pairs: about four minutes, for a first look
  --smoke            one pair of tiny cells: whether everything works
  --pairs <number>   rounds that count (full: 5, quick: 3)
  --threads <number> threads of every engine (default: the physical cores)
  --engines <names>  only these, by comma: ${ALL_ENGINES.join(", ")}

Only a full run with every engine writes test/bench/results.`;

/** @returns `null` where help was asked for, and printed */
export function readOptions(args: string[]): Options | null {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: "boolean" },
      smoke: { type: "boolean" },
      pairs: { type: "string" },
      threads: { type: "string" },
      engines: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return null;
  }
  const plan = PLANS[values.smoke ? "smoke" : values.quick ? "quick" : "full"];
  const pairs = values.pairs === undefined ? null : wholeNumber("--pairs", values.pairs);
  return {
    plan: pairs === null ? plan : { ...plan, pairs, http: { ...plan.http, pairs } },
    threads: values.threads === undefined ? null : wholeNumber("--threads", values.threads),
    engines: values.engines === undefined ? [...ALL_ENGINES] : engineNames(values.engines),
  };
}

export function wholeNumber(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`${flag} takes a whole number, 1 or more.`);
  return value;
}

function engineNames(list: string): EngineName[] {
  return list.split(",").map((name) => {
    if (!isEngineName(name)) throw new Error(`There is no engine ${name}; there are ${ALL_ENGINES.join(", ")}.`);
    return name;
  });
}
