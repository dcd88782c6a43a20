import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureInstalled } from "../../../scripts/bootstrap/dependencies.mjs";
import { installedVersion } from "../engine/installed-version.ts";
import type { Gateway, Upstream } from "./gateway.ts";
import { freePort, GatewayProcess } from "./gateway-process.ts";
import { openAiTarget } from "./openai-target.ts";

const FOLDER = fileURLToPath(new URL("./portkey", import.meta.url));

/** Portkey's gateway as its package starts it, without its console. @throws Error with the reason */
export async function startPortkey(upstream: Upstream, started: AsyncDisposableStack): Promise<Gateway> {
  await ensureInstalled(FOLDER);
  const port = await freePort();
  const script = join(FOLDER, "node_modules", "@portkey-ai", "gateway", "build", "start-server.js");
  const gateway = started.use(
    new GatewayProcess({
      command: process.execPath,
      args: [script, "--headless", `--port=${port}`],
      env: { NODE_ENV: "production" },
    }),
  );
  const origin = `http://127.0.0.1:${port}`;
  await gateway.answering(origin);
  const from = join(FOLDER, "package.json");
  const headers = { "x-portkey-provider": "openai", "x-portkey-custom-host": `${upstream.url}/v1` };
  return {
    name: "portkey",
    version: installedVersion("@portkey-ai/gateway", from),
    detail: `@hono/node-server ${installedVersion("@hono/node-server", from)}, Node ${process.version}; no keys, no limits, no ledger`,
    pid: gateway.pid,
    target: openAiTarget(origin, upstream.model, headers),
    direct: openAiTarget(upstream.url, upstream.model),
  };
}
