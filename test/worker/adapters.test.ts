import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type RunningWorker, serve } from "../../gpu-worker/server/serve.ts";
import { samplingSchema } from "../../schema/api/chat.ts";
import type { AttributeLevels, SteeringProfile } from "../../schema/attributes.ts";
import { GENERATIONS_PATH, WORKER_MODELS_PATH } from "../../schema/wire/generate.ts";
import { writeTinyAdapter } from "../fixtures/tiny-adapter.ts";
import { writeTinyModel } from "../fixtures/tiny-llama.ts";
import { signedClient } from "./signed-client.ts";

const SECRET = "a-secret-for-tests-only";
const PROFILE: SteeringProfile = { template: "chatml", attributes: [{ name: "verbosity", default: 2 }] };

let model: Awaited<ReturnType<typeof writeTinyModel>>;
let adapter: string;

beforeAll(async () => {
  model = await writeTinyModel();
  vi.stubEnv("ATTUNE_CACHE_DIR", model.directory);
  adapter = await writeTinyAdapter(join(model.directory, "adapter"), { profile: PROFILE });
});
afterAll(() => model.remove());

describe("a worker with an adapter", () => {
  let steered: RunningWorker;
  let plain: RunningWorker;
  let count = 0;

  const start = (options: { adapter?: string; profile?: string }) =>
    serve(
      {
        model: model.path,
        id: "tiny",
        host: "127.0.0.1",
        port: 0,
        secret: SECRET,
        threads: 1,
        rows: 2,
        queue: 4,
        queueTokens: 4000,
        kvMemory: 64,
        prefixMemory: 16,
        ...options,
      },
      pino({ enabled: false }),
    );

  beforeAll(async () => {
    steered = await start({ adapter });
    plain = await start({});
    await Promise.all([steered.ready, plain.ready]);
  });
  afterAll(() => Promise.all([steered.close(5), plain.close(5)]));

  type Ask = { levels?: AttributeLevels; content?: string };

  type Answer = {
    choices: { message: { content: string } }[];
    usage: { prompt_tokens: number; completion_tokens: number };
    error?: { code: string; message: string };
  };

  /** The body of the answer with its status; at temperature 0. */
  async function ask(worker: RunningWorker, id: string, { levels, content = "hello" }: Ask = {}) {
    const response = await signedClient(worker.url, SECRET).send("POST", GENERATIONS_PATH, {
      generation: `gen_${String(++count).padStart(12, "0")}`,
      dialect: "openai",
      model: id,
      messages: [{ role: "user", content }],
      steering: {
        effective: levels ?? {},
        method: levels === undefined ? "none" : "label_line",
        preset: null,
        clamped: [],
        not_trained: [],
        note: null,
      },
      stream: false,
      include_usage: false,
      sampling: { ...samplingSchema.parse({ temperature: 0 }), max_tokens: 24 },
    });
    const body: Answer = JSON.parse(await response.text());
    return { status: response.status, retryAfter: response.headers.get("retry-after"), ...body };
  }
  const textOf = async (...parameters: Parameters<typeof ask>): Promise<string> => {
    const { choices, error } = await ask(...parameters);
    return error === undefined ? (choices[0]?.message.content ?? "") : expect.fail(error.message);
  };
  const modelsOf = async (url: string) => (await signedClient(url, SECRET).send("GET", WORKER_MODELS_PATH)).json();

  it("serves the steered model under its id and the plain one beside it", async () => {
    expect(await modelsOf(steered.url)).toMatchObject({
      data: [
        { id: "tiny", profile: PROFILE, context_length: 512 },
        { id: "tiny-base", profile: null, context_length: 512 },
      ],
    });
    expect(await modelsOf(plain.url)).toMatchObject({ data: [{ id: "tiny", profile: null }] });
    expect(await ask(steered, "tiny-other")).toMatchObject({
      status: 404,
      error: { message: "This worker serves tiny and tiny-base, not tiny-other." },
    });
  });

  it("is ready with the steered model alone, and answers for both at once", async () => {
    expect((await fetch(`${steered.url}/readyz`)).status).toBe(200);
    const answers = await Promise.all([textOf(steered, "tiny-base"), textOf(steered, "tiny")]);
    expect(answers[0]).not.toBe(answers[1]);
  });

  it("gives the plain model's answers under the base id, and never one's for the other, whatever was asked before", async () => {
    for (const content of ["hello", "hello there", "hello", "hello there"]) {
      const expected = await textOf(plain, "tiny", { content });
      expect(await textOf(steered, "tiny-base", { content })).toBe(expected);
      expect(await textOf(steered, "tiny", { content })).not.toBe(expected);
    }
  });

  it("steers the steered model by its label line, which the plain one never gets", async () => {
    const least = await ask(steered, "tiny", { levels: { verbosity: 0 } });
    const most = await ask(steered, "tiny", { levels: { verbosity: 4 } });
    const unlabelled = await ask(steered, "tiny");
    expect(least.usage.prompt_tokens).toBe(most.usage.prompt_tokens);
    expect(least.usage.prompt_tokens).toBeGreaterThan(unlabelled.usage.prompt_tokens);
    expect(least.choices).not.toEqual(most.choices);
    expect(await ask(steered, "tiny-base", { levels: { verbosity: 0 } })).toMatchObject({
      status: 400,
      error: { code: "invalid_request", message: expect.stringContaining("not trained on attributes") },
    });
  });

  it("counts each model's requests apart", async () => {
    const metrics = async () => (await fetch(`${steered.url}/metrics`)).text();
    const tokens = async (id: string) =>
      Number(
        new RegExp(`^vllm:generation_tokens_total\\{model_name="${id}",engine="0"\\} (\\d+)$`, "m").exec(
          await metrics(),
        )?.[1],
      );
    const before = [await tokens("tiny"), await tokens("tiny-base")];
    const { usage } = await ask(steered, "tiny-base");
    expect([await tokens("tiny"), await tokens("tiny-base")]).toEqual([
      before[0],
      (before[1] ?? 0) + usage.completion_tokens,
    ]);
    expect(await metrics()).toContain('vllm:num_requests_running{model_name="tiny-base",engine="0"} 0');
  });

  it("takes a profile from the command line over the adapter's own", async () => {
    const own: SteeringProfile = { template: "chatml", attributes: [{ name: "humor", default: 1 }] };
    const profile = join(model.directory, "own-profile.json");
    await writeFile(profile, JSON.stringify(own));
    const worker = await start({ adapter, profile });
    expect(await modelsOf(worker.url)).toMatchObject({ data: [{ id: "tiny", profile: own }, { profile: null }] });
    await worker.close(1);
  });

  it("answers 503 for a plain model that cannot be loaded, goes on with the steered one, and loads it once it can", async () => {
    vi.stubEnv("ATTUNE_CACHE_DIR", join(model.directory, "another-cache"));
    const worker = await start({ adapter });
    await worker.ready;
    const hidden = `${model.path}.hidden`;
    await rename(model.path, hidden);
    try {
      expect(await ask(worker, "tiny-base")).toMatchObject({
        status: 503,
        retryAfter: "2",
        error: { code: "worker_unavailable", message: expect.stringContaining("tiny-base could not be loaded") },
      });
      expect(await textOf(worker, "tiny")).toBe(await textOf(steered, "tiny"));
    } finally {
      await rename(hidden, model.path);
    }
    expect(await textOf(worker, "tiny-base")).toBe(await textOf(steered, "tiny-base"));
    await worker.close(5);
    vi.stubEnv("ATTUNE_CACHE_DIR", model.directory);
  });
});
