import { join } from "node:path";
import OpenAI from "openai";
import { afterAll, beforeAll, vi } from "vitest";
import { z } from "zod";
import type { RunningWorker } from "../../gpu-worker/server/serve.ts";
import type { KeySettings } from "../../schema/api/keys.ts";
import type { Attribute } from "../../schema/attributes.ts";
import { writeTinyApm } from "../fixtures/tiny-apm.ts";
import { writeTinyModel } from "../fixtures/tiny-llama.ts";
import { startTinyWorker, TINY_SECRET, writeTinyProfile } from "../fixtures/tiny-worker.ts";
import { runningEdge } from "./running-edge.ts";

/**
 * The real edge before a real worker that serves a tiny random model called `tiny`, trained on verbosity, for the tests of one file.
 *
 * @param predicted what a tiny attribute prediction model reads off its answers; without any there is none
 */
export function tinyStack(predicted: readonly Attribute[] = []) {
  let worker: RunningWorker | undefined;
  let model: Awaited<ReturnType<typeof writeTinyModel>> | undefined;
  let project = "";
  let key = "";
  const running = () => {
    if (worker === undefined) throw new Error("The worker is not running");
    return worker;
  };
  beforeAll(async () => {
    model = await writeTinyModel();
    const profile = await writeTinyProfile(model.directory, [{ name: "verbosity", default: null }]);
    // Where the graph is written that its texts are read with.
    vi.stubEnv("ATTUNE_CACHE_DIR", model.directory);
    const apm =
      predicted.length === 0 ? undefined : await writeTinyApm(join(model.directory, "apm"), model.path, predicted);
    worker = await startTinyWorker(model.path, { profile, ...(apm !== undefined && { apm }) });
  });
  const edge = runningEdge(() => ({ url: running().url, secret: TINY_SECRET }));

  async function administer<T extends z.ZodType>(path: string, body: object, schema: T): Promise<z.infer<T>> {
    const { url, adminToken } = edge.current();
    const headers = { authorization: `Bearer ${adminToken}`, "content-type": "application/json" };
    const response = await fetch(`${url}/admin/v1${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    return schema.parse(await response.json());
  }
  const addKey = async (settings: Partial<KeySettings> = {}) => {
    const body = { name: "test", tokens_per_minute: null, requests_per_minute: 10_000, ...settings };
    return (await administer(`/projects/${project}/keys`, body, z.object({ secret: z.string() }))).secret;
  };
  beforeAll(async () => {
    project = (await administer("/projects", { name: "Tests" }, z.object({ id: z.string() }))).id;
    key = await addKey();
  });
  afterAll(async () => {
    await worker?.close(0);
    await model?.remove();
  });

  return {
    /** What clients take as their base address. */
    baseURL: () => `${edge.current().url}/v1`,
    key: () => key,
    project: () => project,
    stateDirectory: edge.stateDirectory,
    /** Where the edge is, and what opens its admin API. */
    edge: () => edge.current(),
    addKey,
    /** OpenAI's client, without retries that would hide an error. */
    client: (options: Partial<ConstructorParameters<typeof OpenAI>[0]> = {}) =>
      new OpenAI({ apiKey: key, baseURL: `${edge.current().url}/v1`, maxRetries: 0, ...options }),
    restartEdge: edge.restart,
    /** Stops the worker at once: what it was answering fails. */
    stopWorker: () => running().close(0),
    /** Tokens that the worker has generated since it started. */
    async generatedTokens(): Promise<number> {
      const text = await (await fetch(`${running().url}/metrics`)).text();
      return Number(/^vllm:generation_tokens_total\{.*\} (\d+)$/m.exec(text)?.[1] ?? Number.NaN);
    },
    /** Generations that the worker has running. */
    async runningGenerations(): Promise<number> {
      const text = await (await fetch(`${running().url}/metrics`)).text();
      return Number(/^vllm:num_requests_running\{.*\} (\d+)$/m.exec(text)?.[1] ?? Number.NaN);
    },
  };
}

/** Makes the tiny model answer `aaaaa` and stop: after five tokens nothing else is likelier than its end. */
export const FIVE = { temperature: 0, logit_bias: { "100": 90, "2": 100 }, min_tokens: 5 };
/** As long as it may, so that there is time to break it off. */
export const ENDLESS = { temperature: 0, logit_bias: { "100": 100 }, ignore_eos: true };
