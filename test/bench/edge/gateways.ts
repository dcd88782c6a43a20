import type { Gateway, GatewayName } from "./gateway.ts";
import { type AttuneGateway, startAttune } from "./start-attune.ts";
import { startLiteLlm } from "./start-litellm.ts";
import { startPortkey } from "./start-portkey.ts";
import type { RunningUpstream } from "./start-upstream.ts";

/** Gateways that run, and why the others do not. */
export type StartedGateways = {
  attune: AttuneGateway;
  /** All of them, ours first. */
  running: Gateway[];
  unavailable: Partial<Record<GatewayName, string>>;
};

const PEERS = { portkey: startPortkey, litellm: startLiteLlm };

/** Installs and starts gateways one after another. @throws Error where ours does not start */
export async function startGateways(
  names: readonly GatewayName[],
  upstream: RunningUpstream,
  started: AsyncDisposableStack,
): Promise<StartedGateways> {
  console.log("Starting attune …");
  const attune = await startAttune(upstream, started);
  const gateways: StartedGateways = { attune, running: [attune], unavailable: {} };
  for (const name of names) {
    if (name === "attune") continue;
    console.log(`Starting ${name} …`);
    try {
      gateways.running.push(await PEERS[name](upstream, started));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      console.log(`${name} cannot be measured: ${reason}`);
      gateways.unavailable[name] = reason;
    }
  }
  return gateways;
}
