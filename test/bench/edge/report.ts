import type { Machine } from "../engine/machine.ts";
import { median, pairedRatio, quantile, rounded, spread } from "../engine/statistics.ts";
import type { Gateway, GatewayName } from "./gateway.ts";
import type { Accounting } from "./measure-accounting.ts";
import type { DisconnectSamples } from "./measure-disconnects.ts";
import type { Failure, GatewaySamples, RoundSamples } from "./measure-rounds.ts";
import { MAIN_CONNECTIONS } from "./options.ts";

/** Everything that one run measured. */
export type EdgeMeasurements = {
  plan: string;
  machine: Machine;
  /** Seconds the whole run took. */
  seconds: number;
  gateways: GatewayReport[];
  unavailable: Partial<Record<GatewayName, string>>;
  failures: Failure[];
  samples: RoundSamples;
  sustained: Partial<Record<GatewayName, { streams: number; bounded: boolean }>>;
  disconnects: Partial<Record<GatewayName, DisconnectSamples>>;
  accounting: Accounting | null;
};

export type GatewayReport = Pick<Gateway, "name" | "version" | "detail">;

export const reportGateway = ({ name, version, detail }: Gateway): GatewayReport => ({ name, version, detail });

type Read = (samples: GatewaySamples) => (number | null)[];

const addedP50: Read = ({ latency }) => latency.map((sample) => sample?.p50 ?? null);
const firstDelta: Read = ({ streams }) => streams.map((sample) => sample?.addedFirstDelta ?? null);
const deltaCpu: Read = ({ streams }) => streams.map((sample) => sample?.cpuMsPerDelta ?? null);
const rate =
  (connections: number): Read =>
  ({ throughput }) =>
    (throughput[connections] ?? []).map((sample) => sample?.requestsPerSecond ?? null);
const requestCpu: Read = ({ throughput }) =>
  (throughput[MAIN_CONNECTIONS] ?? []).map((sample) => sample?.cpuMs ?? null);

/** The line that ends the benchmark's output. */
export function summary(measured: EdgeMeasurements) {
  const { machine, samples, unavailable, accounting } = measured;
  const ratio = (read: Read, peer: GatewayName) => {
    const [ours, theirs] = [samples.attune, samples[peer]];
    return ours === undefined || theirs === undefined ? null : pairedRatio(read(ours), read(theirs));
  };
  const present = measured.gateways.map((gateway) => [gateway.name, gatewaySummary(gateway, measured)] as const);
  const missing = Object.entries(unavailable).map(([name, reason]) => [name, { unavailable: reason }] as const);
  return {
    bench: "edge",
    plan: measured.plan,
    cpu: machine.cpu,
    cores: machine.cores,
    seconds: measured.seconds,
    gateways: Object.fromEntries([...present, ...missing]),
    failures: measured.failures,
    ratios: {
      cpu_vs_portkey: ratio(requestCpu, "portkey"),
      rps16_vs_portkey: ratio(rate(16), "portkey"),
      rps64_vs_portkey: ratio(rate(64), "portkey"),
      added_p50_vs_portkey: ratio(addedP50, "portkey"),
      ttft_vs_portkey: ratio(firstDelta, "portkey"),
      token_cpu_vs_portkey: ratio(deltaCpu, "portkey"),
      rps16_vs_litellm: ratio(rate(16), "litellm"),
      cpu_vs_litellm: ratio(requestCpu, "litellm"),
    },
    accounting: accounting === null ? null : { ...accounting, wrong: accounting.wrong.length },
    accounting_error: accounting?.error ?? null,
  };
}

const known = (values: readonly (number | null)[]) => values.filter((value) => value !== null);
const spreadOf = (values: readonly (number | null)[]) => (known(values).length === 0 ? null : spread(known(values)));

function gatewaySummary({ name, version, detail }: GatewayReport, measured: EdgeMeasurements) {
  const samples = measured.samples[name];
  const loads = Object.entries(samples?.throughput ?? {}).map(([connections, taken]) => {
    const cpu = spreadOf(taken.map((sample) => sample?.cpuMs ?? null));
    return [
      connections,
      { requests_per_second: spreadOf(taken.map((sample) => sample?.requestsPerSecond ?? null)), cpu_ms: cpu },
    ];
  });
  return {
    version,
    detail,
    added_ms: {
      p50: spreadOf(samples === undefined ? [] : addedP50(samples)),
      p99: spreadOf((samples?.latency ?? []).map((sample) => sample?.p99 ?? null)),
    },
    connections: Object.fromEntries(loads),
    streams: {
      added_first_delta_ms: spreadOf(samples === undefined ? [] : firstDelta(samples)),
      added_gap_p99_ms: spreadOf((samples?.streams ?? []).map((sample) => sample?.addedGapP99 ?? null)),
      cpu_ms_per_delta: spreadOf(samples === undefined ? [] : deltaCpu(samples)),
      broken: (samples?.streams ?? []).reduce((sum, sample) => sum + (sample?.broken ?? 0), 0),
      sustained: measured.sustained[name] ?? null,
    },
    disconnect_ms: disconnectSummary(measured.disconnects[name] ?? {}),
  };
}

/** Of each way of leaving: median and longest, and how many the upstream never heard of. */
function disconnectSummary(samples: DisconnectSamples) {
  const entries = Object.entries(samples).map(([situation, taken]) => {
    const seen = known(taken);
    const times = seen.length === 0 ? {} : { median: rounded(median(seen)), max: rounded(quantile(seen, 1)) };
    return [situation, { ...times, never: taken.length - seen.length }];
  });
  return Object.fromEntries(entries);
}
