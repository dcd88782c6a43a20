import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { installPythonPeer } from "../engine/install.ts";
import type { Gateway, Upstream } from "./gateway.ts";
import { freePort, GatewayProcess } from "./gateway-process.ts";
import { openAiTarget } from "./openai-target.ts";

const PINS = new URL("./python/", import.meta.url);

/** LiteLLM's proxy with one model and one worker process, which is its default. @throws Error with the reason */
export async function startLiteLlm(upstream: Upstream, started: AsyncDisposableStack): Promise<Gateway> {
  const python = await installPythonPeer("litellm", PINS);
  const directory = mkdtempSync(join(tmpdir(), "attune-bench-"));
  // Also when a person ends the benchmark.
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  const config = join(directory, "litellm.json");
  // Without a strong key it does not start.
  const key = `sk-${randomBytes(24).toString("hex")}`;
  writeFileSync(config, JSON.stringify(configOf(upstream, key)));
  const port = await freePort();
  const gateway = started.use(
    new GatewayProcess({
      command: join(dirname(python), process.platform === "win32" ? "litellm.exe" : "litellm"),
      args: ["--config", config, "--host", "127.0.0.1", "--port", String(port), "--telemetry", "False"],
      // The list of prices comes with the package; without this it is fetched.
      env: { LITELLM_LOCAL_MODEL_COST_MAP: "True", LITELLM_LOG: "ERROR", LITELLM_MODE: "PRODUCTION" },
    }),
  );
  const origin = `http://127.0.0.1:${port}`;
  await gateway.answering(`${origin}/health/liveliness`);
  return {
    name: "litellm",
    version: pinnedVersion(),
    detail: "uvicorn, one worker process; no database: one key for all, no limits, no ledger",
    pid: gateway.pid,
    target: openAiTarget(origin, upstream.model, { authorization: `Bearer ${key}` }),
    direct: openAiTarget(upstream.url, upstream.model),
  };
}

/** JSON is YAML. */
function configOf({ url, model }: Upstream, key: string) {
  const litellm_params = { model: `openai/${model}`, api_base: `${url}/v1`, api_key: "sk-mock" };
  return {
    model_list: [{ model_name: model, litellm_params }],
    litellm_settings: { telemetry: false },
    general_settings: { master_key: key },
  };
}

function pinnedVersion(): string {
  const pins = readFileSync(new URL("litellm.txt", PINS), "utf8");
  return /^litellm==(\S+)/m.exec(pins)?.[1] ?? "unknown";
}
