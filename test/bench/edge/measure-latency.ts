import { Agent } from "node:http";
import { quantile } from "../engine/statistics.ts";
import type { Gateway } from "./gateway.ts";
import { ask, type Target } from "./http-client.ts";
import { AT_ONCE } from "./script.ts";

/** What a gateway adds to one request at a time, in milliseconds: its quantile less the mock upstream's own. */
export type LatencySample = { p50: number; p99: number; directP50: number; directP99: number };

/** Requests that open the connection and do not count. */
const UNCOUNTED = 5;

async function latencies(target: Target, requests: number): Promise<number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const taken: number[] = [];
  try {
    for (let index = -UNCOUNTED; index < requests; index++) {
      const question = await target(AT_ONCE, false);
      const began = performance.now();
      await ask(agent, question);
      if (index >= 0) taken.push(performance.now() - began);
    }
    return taken;
  } finally {
    agent.destroy();
  }
}

/** @throws Error where a request fails */
export async function measureLatency({ target, direct }: Gateway, requests: number): Promise<LatencySample> {
  const without = await latencies(direct, requests);
  const through = await latencies(target, requests);
  const [directP50, directP99] = [quantile(without, 0.5), quantile(without, 0.99)];
  return { p50: quantile(through, 0.5) - directP50, p99: quantile(through, 0.99) - directP99, directP50, directP99 };
}
