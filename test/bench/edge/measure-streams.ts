import { Agent } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { quantile } from "../engine/statistics.ts";
import type { Gateway } from "./gateway.ts";
import type { Target } from "./http-client.ts";
import { spentBy } from "./process-tree.ts";
import { dueAt, type Script } from "./script.ts";
import { settleAll } from "./settle-all.ts";
import { readStream, type StreamSample } from "./stream-client.ts";

/** The stream lane: 64 deltas, 20 ms apart. */
const LANE: Script = { run: "", deltas: 64, every: 20, first: 0, silence: null };

/** Streams begin spread over this time, so that no two wait for each other's beginning. */
const SPREAD_MS = 1_000;

/** Times in milliseconds; added: less what the mock upstream alone shows under the same load. */
export type StreamLaneSample = {
  addedFirstDelta: number;
  addedGapP99: number;
  directFirstDelta: number;
  directGapP99: number;
  /** Processor time of the gateway's own processes for a delta; `null` where the system does not tell. */
  cpuMsPerDelta: number | null;
  /** Streams of which something was missing, or out of order. */
  broken: number;
};

async function runStreams(target: Target, streams: number): Promise<StreamSample[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: streams });
  try {
    return await settleAll(
      Array.from({ length: streams }, async (_, index) => {
        await sleep((SPREAD_MS / streams) * index);
        return readStream(agent, target, LANE);
      }),
    );
  } finally {
    agent.destroy();
  }
}

const firstDeltaOf = (samples: readonly StreamSample[]) =>
  quantile(
    samples.flatMap(({ firstDelta }) => (firstDelta === null ? [] : [firstDelta])),
    0.5,
  );
const gapP99Of = (samples: readonly StreamSample[]) =>
  quantile(
    samples.flatMap(({ gaps }) => gaps),
    0.99,
  );

/** So many streams at a time, directly and then through the gateway. @throws Error where a request fails */
export async function measureStreams({ target, direct, pid }: Gateway, streams: number): Promise<StreamLaneSample> {
  const without = await runStreams(direct, streams);
  const { result: through, cpuSeconds } = await spentBy(pid, () => runStreams(target, streams));
  return {
    addedFirstDelta: firstDeltaOf(through) - firstDeltaOf(without),
    addedGapP99: gapP99Of(through) - gapP99Of(without),
    directFirstDelta: firstDeltaOf(without),
    directGapP99: gapP99Of(without),
    cpuMsPerDelta: cpuSeconds === null ? null : (cpuSeconds * 1000) / (streams * LANE.deltas),
    broken: through.filter(({ complete }) => !complete).length,
  };
}

/** A stream that takes longer than this many times its own pace was not sustained. */
const SLOWEST = 2;
const longest = SLOWEST * dueAt(LANE, LANE.deltas - 1);

/** Whether so many streams at a time come whole and in time. A request that fails is a stream that does not. */
async function sustains(target: Target, streams: number): Promise<boolean> {
  const samples = await runStreams(target, streams).catch(() => null);
  return samples?.every(({ complete, total }) => complete && total <= longest) ?? false;
}

/**
 * The most streams of an ascending list that go on at a time with none dropped or late; 0 where not even the fewest do. `bounded`: the
 * client and the mock upstream alone sustain no more either, so it says nothing of the gateway.
 */
export async function measureSustained(
  { target, direct }: Gateway,
  levels: readonly number[],
): Promise<{ streams: number; bounded: boolean }> {
  let streams = 0;
  for (const level of levels) {
    if (!(await sustains(target, level))) return { streams, bounded: !(await sustains(direct, level)) };
    streams = level;
  }
  return { streams, bounded: true };
}
