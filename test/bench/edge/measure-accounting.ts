import { Agent } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Run, Script } from "./script.ts";
import { settleAll } from "./settle-all.ts";
import type { AttuneGateway } from "./start-attune.ts";
import type { RunningUpstream } from "./start-upstream.ts";
import { type Departure, readStream } from "./stream-client.ts";

/** Those that are left go on for so long that the edge has to end them, however busy the machine is. */
const WHOLE: Omit<Script, "run"> = { deltas: 24, every: 5, first: 10, silence: null };
const LEFT: Omit<Script, "run"> = { deltas: 200, every: 40, first: 40, silence: null };
const MOST_DELTAS_BEFORE = 24;
const CONNECTIONS = 16;

/** Of ten requests three are left, before the first token or after any of the first ones. */
function departureOf(index: number): Departure | null {
  if (index % 10 >= 3) return null;
  return { how: index % 2 === 0 ? "fin" : "rst", afterDeltas: (index * 7) % MOST_DELTAS_BEFORE, afterMs: index % 5 };
}

/** The edge's ledger against what the worker counted. */
export type Accounting = {
  generations: number;
  /** Of those, how many the worker did not finish. */
  aborted: number;
  /** Prompt and completion tokens, as the worker counted them. */
  tokens: number;
  /** Sum of what the ledger has too much or too little of each generation ÷ `tokens`. */
  error: number;
  /** Generations whose row is missing or wrong, with the tokens of both sides. */
  wrong: { generation: string; counted: number; ledger: number | null }[];
};

/** Longest to wait until the ledger has everything: it is written in batches, after the answers. */
const LEDGER_MS = 30_000;
const POLL_MS = 250;

/** Streams of which 30 % are left by their clients; then asks both sides. @throws Error where a request fails */
export async function measureAccounting(
  { target, ledger }: AttuneGateway,
  upstream: RunningUpstream,
  requests: number,
): Promise<Accounting> {
  await upstream.runs();
  const indices = Array.from({ length: requests }, (_, index) => index);
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const connection = async () => {
    for (let index = indices.shift(); index !== undefined; index = indices.shift()) {
      const departure = departureOf(index);
      const script = departure === null ? WHOLE : LEFT;
      await readStream(agent, target, { run: `accounting ${index}`, ...script }, departure);
    }
  };
  await settleAll(Array.from({ length: CONNECTIONS }, connection));
  agent.destroy();

  const counted = await finishedRuns(upstream);
  const isComplete = (rows: ReadonlyMap<string, number>) => counted.every(({ generation }) => rows.has(generation));
  let rows = await ledger();
  for (let waited = 0; waited < LEDGER_MS && !isComplete(rows); waited += POLL_MS) {
    await sleep(POLL_MS);
    rows = await ledger();
  }
  return compare(counted, rows);
}

/** Every run that the upstream heard of, once none goes on. A request that was left at once may never have reached it. */
async function finishedRuns(upstream: RunningUpstream): Promise<Run[]> {
  const finished: Run[] = [];
  while (true) {
    const { runs, worker } = await upstream.runs();
    finished.push(...runs);
    if (worker.running === 0) return finished;
    await sleep(POLL_MS);
  }
}

function compare(counted: readonly Run[], ledger: ReadonlyMap<string, number>): Accounting {
  const pairs = counted.map(({ generation, promptTokens, completionTokens }) => {
    return { generation, counted: promptTokens + completionTokens, ledger: ledger.get(generation) ?? null };
  });
  const tokens = pairs.reduce((sum, pair) => sum + pair.counted, 0);
  const off = pairs.reduce((sum, pair) => sum + Math.abs((pair.ledger ?? 0) - pair.counted), 0);
  return {
    generations: counted.length,
    aborted: counted.filter(({ state }) => state === "aborted").length,
    tokens,
    error: off / tokens,
    wrong: pairs.filter((pair) => pair.ledger !== pair.counted),
  };
}
