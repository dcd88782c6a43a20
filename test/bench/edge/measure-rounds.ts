import { rounded } from "../engine/statistics.ts";
import type { Gateway, GatewayName } from "./gateway.ts";
import { type LatencySample, measureLatency } from "./measure-latency.ts";
import { measureStreams, type StreamLaneSample } from "./measure-streams.ts";
import { measureThroughput, type ThroughputSample } from "./measure-throughput.ts";
import type { EdgePlan } from "./options.ts";

/** One entry a round; `null` where it failed in that round. */
export type GatewaySamples = {
  latency: (LatencySample | null)[];
  /** By the number of connections. */
  throughput: Record<string, (ThroughputSample | null)[]>;
  streams: (StreamLaneSample | null)[];
};
export type RoundSamples = Partial<Record<GatewayName, GatewaySamples>>;

export type Failure = { gateway: GatewayName; lane: string; reason: string };

/**
 * Goes round by round through all gateways, every other round in reverse; while one is measured, the others idle. One round more goes
 * before them and does not count.
 *
 * @param late whether time is up; what is left is then not measured
 */
export async function measureRounds(
  gateways: readonly Gateway[],
  plan: EdgePlan,
  late: () => boolean,
): Promise<{ samples: RoundSamples; failures: Failure[] }> {
  const failures: Failure[] = [];
  const samples: RoundSamples = {};
  for (const { name } of gateways) {
    const throughput = Object.fromEntries(plan.connections.map((connections) => [String(connections), []]));
    samples[name] = { latency: [], throughput, streams: [] };
  }

  const attempt = async <T>(gateway: Gateway, lane: string, work: () => Promise<T>): Promise<T | null> => {
    try {
      return await work();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      console.log(`${gateway.name}, ${lane}: ${reason}`);
      failures.push({ gateway: gateway.name, lane, reason });
      return null;
    }
  };

  for (let round = 0; round <= plan.rounds && !late(); round++) {
    for (const gateway of round % 2 === 0 ? gateways : gateways.toReversed()) {
      const kept = round === 0 ? undefined : samples[gateway.name];
      const latency = await attempt(gateway, "latency", () => measureLatency(gateway, plan.latencyRequests));
      kept?.latency.push(latency);
      for (const connections of plan.connections) {
        const work = () => measureThroughput(gateway, connections, plan.seconds);
        const load = await attempt(gateway, `${connections} connections`, work);
        kept?.throughput[String(connections)]?.push(load);
        if (kept !== undefined && load !== null) console.log(describeLoad(round, gateway, connections, load));
      }
      kept?.streams.push(await attempt(gateway, "streams", () => measureStreams(gateway, plan.streams)));
    }
  }
  return { samples, failures };
}

function describeLoad(round: number, { name }: Gateway, connections: number, load: ThroughputSample): string {
  const cpu = load.cpuMs === null ? "" : `, ${rounded(load.cpuMs)} ms of processor each`;
  return `round ${round}, ${connections} connections: ${name} ${rounded(load.requestsPerSecond)} req/s${cpu}`;
}
