import { parseArgs } from "node:util";
import { wholeNumber } from "../engine/options.ts";
import { GATEWAYS, type GatewayName } from "./gateway.ts";

/** How much is measured. */
export type EdgePlan = {
  name: "full" | "quick" | "smoke";
  /** Rounds that count; one more goes before them to warm up. */
  rounds: number;
  /** Requests one at a time, in a round. */
  latencyRequests: number;
  connections: readonly number[];
  /** Of each number of connections, in a round. */
  seconds: number;
  /** At a time in the stream lane. */
  streams: number;
  /** Streams at a time that are tried, once. */
  sustained: readonly number[];
  /** Clients that leave in each situation, once. */
  disconnects: number;
  /** Requests of which 30 % are aborted, once. */
  accounting: number;
};

export type EdgeOptions = { plan: EdgePlan; gateways: GatewayName[] };

/** The connections of the ratios in the last line. */
export const MAIN_CONNECTIONS = 16;

const FULL: EdgePlan = {
  name: "full",
  rounds: 5,
  latencyRequests: 400,
  connections: [MAIN_CONNECTIONS, 64],
  seconds: 6,
  streams: 16,
  sustained: [16, 32, 64, 128, 256, 512],
  disconnects: 10,
  accounting: 1_000,
};

const PLANS: Record<EdgePlan["name"], EdgePlan> = {
  full: FULL,
  quick: { ...FULL, name: "quick", rounds: 3, latencyRequests: 200, seconds: 3, sustained: [16, 64], accounting: 300 },
  // Whether everything works, not how fast it is.
  smoke: {
    name: "smoke",
    rounds: 1,
    latencyRequests: 10,
    connections: [MAIN_CONNECTIONS],
    seconds: 1,
    streams: 4,
    sustained: [4],
    disconnects: 2,
    accounting: 40,
  },
};

const USAGE = `npm run bench:edge -- [options]

  --quick             three shorter rounds, about five minutes, for a first look
  --smoke             one round of tiny loads: whether everything works
  --rounds <number>   rounds that count (full: 5, quick: 3)
  --gateways <names>  only these, by comma: ${GATEWAYS.join(", ")}

Only a full run with every gateway writes test/bench/results.`;

const isGateway = (text: string): text is GatewayName => GATEWAYS.some((name) => name === text);

/** @returns `null` where help was asked for, and printed */
export function readEdgeOptions(args: string[]): EdgeOptions | null {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: "boolean" },
      smoke: { type: "boolean" },
      rounds: { type: "string" },
      gateways: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return null;
  }
  const plan = PLANS[values.smoke ? "smoke" : values.quick ? "quick" : "full"];
  return {
    plan: values.rounds === undefined ? plan : { ...plan, rounds: wholeNumber("--rounds", values.rounds) },
    gateways: values.gateways === undefined ? [...GATEWAYS] : gatewayNames(values.gateways),
  };
}

/** Ours always: without it there is nothing to compare. */
function gatewayNames(list: string): GatewayName[] {
  const named = list.split(",").map((name) => {
    if (!isGateway(name)) throw new Error(`There is no gateway ${name}; there are ${GATEWAYS.join(", ")}.`);
    return name;
  });
  return GATEWAYS.filter((name) => name === "attune" || named.includes(name));
}
