import type { Target } from "./http-client.ts";

/** Ours first, then its peers. */
export const GATEWAYS = ["attune", "portkey", "litellm"] as const;
export type GatewayName = (typeof GATEWAYS)[number];

/** A gateway that runs before the mock upstream. */
export type Gateway = {
  name: GatewayName;
  version: string;
  detail: string;
  /** The root of its processes. */
  pid: number;
  /** The gateway. */
  target: Target;
  /** The mock upstream, asked as the gateway asks it. */
  direct: Target;
};

/** The mock upstream, for whoever starts a gateway before it. */
export type Upstream = { url: string; secret: string; model: string };

/** The most tokens that every request asks for; answers are shorter. */
export const MAX_TOKENS = 256;
