import { setTimeout as sleep } from "node:timers/promises";
import type { EngineProcess } from "./engine-process.ts";
import type { EngineName } from "./engines.ts";
import type { Plan } from "./options.ts";
import { promptSource } from "./prompts.ts";
import type { CellRequest } from "./protocol.ts";
import { rounded } from "./statistics.ts";

/** Samples of each engine in each cell, by round; `null` where a round has none. */
export type CellSamples = Record<string, Partial<Record<EngineName, (number | null)[]>>>;

export type Failure = { engine: EngineName; cell: string; reason: string };

type Cell = { name: string; request: (prompt: (tokens: number) => number[], warmUp: boolean) => CellRequest };

/** Milliseconds between engines: threads that wait for more work spin a little before they sleep. */
const SETTLE = 50;

/** The cells of a plan, in the order measured. */
export function cellsOf({ prefillTokens, decodeRows, decodePrompt, decodeSteps }: Plan): Cell[] {
  return [
    ...prefillTokens.map(
      (tokens): Cell => ({
        name: `prefill${tokens}`,
        request: (prompt) => ({ kind: "prefill", prompt: prompt(tokens) }),
      }),
    ),
    ...decodeRows.map(
      (rows): Cell => ({
        name: `decode${rows}`,
        request: (prompt, warmUp) => ({
          kind: "decode",
          prompts: Array.from({ length: rows }, () => prompt(warmUp ? 16 : decodePrompt)),
          steps: warmUp ? 4 : decodeSteps,
        }),
      }),
    ),
  ];
}

/**
 * Every cell, round by round, each engine once a round and every other round in reverse: neighbours in time are compared, and none is
 * always first. All engines get the same tokens. An engine that fails in a cell is out of that cell.
 *
 * @param late whether time is up; what is left is then not measured
 */
export async function measureCells(
  engines: ReadonlyMap<EngineName, EngineProcess>,
  plan: Plan,
  late: () => boolean,
): Promise<{ samples: CellSamples; failures: Failure[] }> {
  const samples: CellSamples = {};
  const failures: Failure[] = [];
  for (const [index, { name, request }] of cellsOf(plan).entries()) {
    const prompt = promptSource(index);
    const able = new Set(engines.keys());
    const ofCell: CellSamples[string] = {};
    for (let round = -1; round < plan.pairs; round++) {
      if (late()) break;
      const asked = request(prompt, round < 0);
      const order = round % 2 === 0 ? [...engines] : [...engines].reverse();
      for (const [engine, process] of order) {
        await sleep(SETTLE);
        const value = able.has(engine) ? await attempt(process, asked) : null;
        if (typeof value === "string") {
          able.delete(engine);
          failures.push({ engine, cell: name, reason: value });
        }
        if (round < 0) continue;
        const values = ofCell[engine] ?? [];
        values.push(typeof value === "number" ? value : null);
        ofCell[engine] = values;
      }
    }
    samples[name] = ofCell;
    console.log(`${name}: ${describe(ofCell)} tok/s`);
  }
  return { samples, failures };
}

async function attempt(process: EngineProcess, request: CellRequest): Promise<number | string> {
  try {
    return await process.measure(request);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function describe(samples: CellSamples[string]): string {
  return Object.entries(samples)
    .map(([engine, values]) => `${engine} ${values.map((value) => (value === null ? "–" : rounded(value))).join(" ")}`)
    .join(" · ");
}
