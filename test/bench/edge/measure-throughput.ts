import { Agent } from "node:http";
import type { Gateway } from "./gateway.ts";
import { ask } from "./http-client.ts";
import { cpuSecondsOfTree } from "./process-tree.ts";
import { AT_ONCE } from "./script.ts";
import { settleAll } from "./settle-all.ts";

export type ThroughputSample = {
  requestsPerSecond: number;
  /** Processor time of the gateway's own processes for a request, in milliseconds; `null` where the system does not tell. */
  cpuMs: number | null;
  /** The same of this process, which is the client. */
  clientCpuMs: number;
  requests: number;
};

/** Share of the time that goes before what is measured, while connections are opened. */
const LEAD = 0.15;

/** So many connections, each sending its next request when it has its answer. @throws Error where a request fails */
export async function measureThroughput(
  { target, pid }: Gateway,
  connections: number,
  seconds: number,
): Promise<ThroughputSample> {
  const question = await target(AT_ONCE, false);
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const end = performance.now() + seconds * 1000 * (1 + LEAD);
  let requests = 0;
  const connection = async () => {
    while (performance.now() < end) {
      await ask(agent, question);
      requests += 1;
    }
  };
  try {
    const load = settleAll(Array.from({ length: connections }, connection));
    const lead = new Promise((resolve) => setTimeout(resolve, seconds * 1000 * LEAD));
    // Whichever comes first: a load that fails at once has ended by then.
    await Promise.race([load, lead]);
    const before = { at: performance.now(), requests, cpu: cpuSecondsOfTree(pid), client: process.cpuUsage() };
    await load;
    const after = { at: performance.now(), cpu: cpuSecondsOfTree(pid), client: process.cpuUsage(before.client) };
    const counted = requests - before.requests;
    const cpuSeconds = before.cpu === null || after.cpu === null ? null : after.cpu - before.cpu;
    return {
      requestsPerSecond: (counted / (after.at - before.at)) * 1000,
      cpuMs: cpuSeconds === null ? null : (cpuSeconds / counted) * 1000,
      clientCpuMs: (after.client.user + after.client.system) / 1000 / counted,
      requests: counted,
    };
  } finally {
    agent.destroy();
  }
}
