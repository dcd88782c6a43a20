import { Agent } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Gateway } from "./gateway.ts";
import type { Run, Script } from "./script.ts";
import { settleAll } from "./settle-all.ts";
import type { RunningUpstream } from "./start-upstream.ts";
import { type Departure, type Leaving, readStream, type StreamSample } from "./stream-client.ts";

/** What the upstream does while its client leaves; all end after 3.6 s by themselves. */
const SITUATIONS = {
  /** A token every 50 ms. */
  flowing: { script: { deltas: 72, every: 50, first: 0, silence: null }, afterDeltas: 6, afterMs: 10 },
  /** Silent for 2.25 s after some tokens. */
  idle: { script: { deltas: 28, every: 50, first: 0, silence: { after: 6, ms: 2_200 } }, afterDeltas: 6, afterMs: 100 },
  /** The first token comes after 2.4 s. */
  before_first: { script: { deltas: 24, every: 50, first: 2_400, silence: null }, afterDeltas: 0, afterMs: 300 },
} satisfies Record<string, { script: Omit<Script, "run"> } & Omit<Departure, "how">>;

const LEAVINGS: readonly Leaving[] = ["fin", "rst"];

/** Milliseconds from a client's leaving to the upstream's seeing of it; `null`: never, it wrote to its end. */
export type DisconnectSamples = Record<string, (number | null)[]>;

/** Longest that a run goes on by itself, and a little more. */
const OVER_MS = 6_000;
const POLL_MS = 50;

/** Every way of leaving in every situation, so many streams at a time in each. @throws Error where a request fails */
export async function measureDisconnects(
  { name, target }: Gateway,
  upstream: RunningUpstream,
  streams: number,
): Promise<DisconnectSamples> {
  const samples: DisconnectSamples = {};
  for (const [situation, { script, ...when }] of Object.entries(SITUATIONS)) {
    for (const how of LEAVINGS) {
      const runs = Array.from({ length: streams }, (_, index) => `${name} ${situation} ${how} ${index}`);
      const agent = new Agent();
      const left = await settleAll(runs.map((run) => readStream(agent, target, { run, ...script }, { how, ...when })));
      const ended = await endOf(runs, upstream);
      samples[`${situation}_${how}`] = runs.map((run, index) => delayBetween(left[index], ended.get(run)));
    }
  }
  return samples;
}

function delayBetween(left: StreamSample | undefined, seen: Run | undefined): number | null {
  if (seen?.state !== "aborted" || seen.endedAt === null) return null;
  return left == null || left.leftAt === null ? null : seen.endedAt - left.leftAt;
}

/** Waits until all of these have ended. @throws Error where one does not, or never began */
async function endOf(names: readonly string[], upstream: RunningUpstream): Promise<Map<string, Run>> {
  const ended = new Map<string, Run>();
  for (let waited = 0; waited < OVER_MS; waited += POLL_MS) {
    for (const run of (await upstream.runs()).runs) ended.set(run.run, run);
    if (names.every((name) => ended.has(name))) return ended;
    await sleep(POLL_MS);
  }
  const missing = names.filter((name) => !ended.has(name));
  throw new Error(`the upstream never heard of ${missing.join(", ")}, or never ended it`);
}
