import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { bankGroupBytes } from "../../gpu-worker/runtime/adapter-bank.ts";
import { ADAPTERS_PATH, adapterPath } from "../../gpu-worker/server/adapter-admin.ts";
import type { AdapterState } from "../../gpu-worker/server/resident-adapter.ts";
import type { RunningWorker, ServeOptions } from "../../gpu-worker/server/serve.ts";
import { samplingSchema } from "../../schema/api/chat.ts";
import type { SteeringProfile } from "../../schema/attributes.ts";
import { GENERATIONS_PATH, WORKER_MODELS_PATH } from "../../schema/wire/generate.ts";
import { TINY_ADAPTER_CONFIG, type TinyAdapterParts, tinyUpdates, writeTinyAdapter } from "../fixtures/tiny-adapter.ts";
import { TINY_CONFIG, writeTinyModel } from "../fixtures/tiny-llama.ts";
import { TINY_SECRET as SECRET, startTinyWorker } from "../fixtures/tiny-worker.ts";
import { signedClient } from "./signed-client.ts";

const PROFILE: SteeringProfile = { template: "chatml", attributes: [{ name: "verbosity", default: 2 }] };
const MEBIBYTE = 2 ** 20;
/** Of 16 ranks each. */
const groupsIn = (mebibytes: number) => Math.floor((mebibytes * MEBIBYTE) / bankGroupBytes(TINY_CONFIG));

let model: Awaited<ReturnType<typeof writeTinyModel>>;
/** Two adapters of the same ranks. */
let first: string;
let second: string;
let count = 0;

const adapterAt = (name: string, parts: TinyAdapterParts) => writeTinyAdapter(join(model.directory, name), parts);

beforeAll(async () => {
  model = await writeTinyModel();
  vi.stubEnv("ATTUNE_CACHE_DIR", model.directory);
  first = await adapterAt("first", { updates: tinyUpdates(11), profile: PROFILE });
  second = await adapterAt("second", { updates: tinyUpdates(12) });
});
afterAll(() => model.remove());

const start = (options: Partial<ServeOptions> = {}) =>
  startTinyWorker(model.path, { precision: "fp32", rows: 8, queue: 8, adapterMemory: 4, ...options });

type Refusal = { error: { code: string; message: string } };

const client = (worker: RunningWorker) => signedClient(worker.url, SECRET);
async function call<T>(worker: RunningWorker, method: string, path: string, body?: object) {
  const response = await client(worker).send(method, path, body);
  const content: T & Partial<Refusal> = JSON.parse(await response.text());
  return { status: response.status, ...content };
}
const add = (worker: RunningWorker, name: string, path: string) =>
  call<AdapterState>(worker, "POST", ADAPTERS_PATH, { name, path });
const remove = (worker: RunningWorker, name: string) => call<AdapterState>(worker, "DELETE", adapterPath(name));
const list = async (worker: RunningWorker) => (await call<{ data: AdapterState[] }>(worker, "GET", ADAPTERS_PATH)).data;

const generation = (id: string, content: string, tokens: number, stream: boolean) => ({
  generation: `gen_${String(++count).padStart(12, "0")}`,
  dialect: "openai",
  model: id,
  messages: [{ role: "user", content }],
  steering: { effective: {}, method: "none", preset: null, clamped: [], not_trained: [], note: null },
  stream,
  include_usage: false,
  sampling: { ...samplingSchema.parse({ temperature: 0, min_tokens: tokens }), max_tokens: tokens },
});

type Completion = { choices: { message: { content: string } }[]; usage: { completion_tokens: number } };

const ask = (worker: RunningWorker, id: string, content = "hello", tokens = 24) =>
  call<Completion>(worker, "POST", GENERATIONS_PATH, generation(id, content, tokens, false));
async function textOf(worker: RunningWorker, id: string, content = "hello", tokens = 24): Promise<string> {
  const { choices, error } = await ask(worker, id, content, tokens);
  return error === undefined ? (choices[0]?.message.content ?? "") : expect.fail(error.message);
}

/** An answer as it comes: `begun` with its first text, `text` with all of it. */
async function stream(worker: RunningWorker, id: string, tokens: number) {
  const response = await client(worker).send("POST", GENERATIONS_PATH, generation(id, "hello", tokens, true));
  const begun = Promise.withResolvers<void>();
  const read = async () => {
    const frames: string[] = [];
    const decoder = new TextDecoder();
    for await (const bytes of response.body ?? expect.fail("no body")) {
      frames.push(decoder.decode(bytes, { stream: true }));
      begun.resolve();
    }
    const chunks = [...frames.join("").matchAll(/^data: (\{.*\})$/gm)].map(([, json = ""]) => JSON.parse(json));
    return chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
  };
  const text = read();
  await begun.promise;
  return { text };
}

describe("a worker with room for adapters", () => {
  let worker: RunningWorker;
  /** With each adapter merged into the weights: what it should answer. */
  let merged: RunningWorker[];
  let expected: string[];

  beforeAll(async () => {
    worker = await start();
    merged = await Promise.all([first, second].map((adapter) => start({ adapter, adapterMemory: 0 })));
    expected = await Promise.all([textOf(worker, "tiny"), ...merged.map((other) => textOf(other, "tiny"))]);
    expect(new Set(expected).size).toBe(3);
    await Promise.all([add(worker, "one", first), add(worker, "two", second)]);
  });
  afterAll(() => Promise.all([worker, ...merged].map((other) => other.close(5))));

  it("serves each under its own name, with its profile, beside the model", async () => {
    const { data } = await call<{ data: object[] }>(worker, "GET", WORKER_MODELS_PATH);
    expect(data).toHaveLength(3);
    expect(data).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ id: "tiny", profile: null, context_length: 512 }),
        expect.objectContaining({ id: "one", profile: PROFILE, context_length: 512 }),
        expect.objectContaining({ id: "two", profile: null, context_length: 512 }),
      ]),
    );
    expect(await ask(worker, "three")).toMatchObject({ status: 404, error: { code: "model_not_found" } });
  });

  it("answers with each as if it were merged into the weights, one after the other and together", async () => {
    for (const round of [1, 2]) {
      for (const [index, id] of ["tiny", "one", "two"].entries()) {
        expect(await textOf(worker, id), `${id}, round ${round}`).toBe(expected[index]);
      }
    }
    const ids = ["one", "tiny", "two", "one", "two", "tiny"];
    const wanted = ids.map((id) => expected[["tiny", "one", "two"].indexOf(id)]);
    expect(await Promise.all(ids.map((id) => textOf(worker, id)))).toEqual(wanted);
  });

  it("takes new content under a name, and never answers from what it had read with the old", async () => {
    const changing = await adapterAt("changing", { updates: tinyUpdates(11) });
    const before = await add(worker, "changing", changing);
    expect(await textOf(worker, "changing")).toBe(expected[1]);
    await adapterAt("changing", { updates: tinyUpdates(12) });
    const after = await add(worker, "changing", changing);
    expect(after).toMatchObject({ status: 200, state: "ready" });
    expect(after.content).not.toBe(before.content);
    expect(await textOf(worker, "changing")).toBe(expected[2]);
    expect((await list(worker)).filter(({ name }) => name === "changing")).toHaveLength(1);
    await remove(worker, "changing");
  });

  it("leaves one that it has as it is when it is added again", async () => {
    const known = (await list(worker)).find(({ name }) => name === "one");
    expect(await add(worker, "one", first)).toEqual({ status: 200, ...known });
    expect((await list(worker)).filter(({ name }) => name === "one")).toHaveLength(1);
  });

  it("goes on with a running answer while one is added and another removed", async () => {
    const alone = await textOf(worker, "one", "hello", 400);
    const { text } = await stream(worker, "one", 400);
    expect(await add(worker, "three", second)).toMatchObject({ status: 200 });
    expect(await textOf(worker, "three")).toBe(expected[2]);
    expect(await remove(worker, "three")).toMatchObject({ status: 200, state: "draining" });
    expect(await text).toBe(alone);
  });

  it("lets the answers of a removed one finish, takes no new ones, and then gives its room to others", async () => {
    await add(worker, "leaving", first);
    const alone = await textOf(worker, "leaving", "hello", 400);
    const { text } = await stream(worker, "leaving", 400);
    expect(await remove(worker, "leaving")).toMatchObject({ state: "draining", requests: 1 });
    expect(await ask(worker, "leaving")).toMatchObject({ status: 404 });
    expect(await list(worker)).toContainEqual(expect.objectContaining({ name: "leaving", state: "draining" }));
    // Somebody else's content comes while the old one is still computed with.
    await add(worker, "coming", second);
    expect(await text).toBe(alone);
    expect(await textOf(worker, "coming")).toBe(expected[2]);
    await remove(worker, "coming");
    expect((await list(worker)).map(({ name }) => name).sort()).toEqual(["one", "two"]);
    expect(await remove(worker, "leaving")).toMatchObject({ status: 404, error: { code: "not_found" } });
  });

  it("has a request for one that is being loaded wait for it, and answers the others meanwhile", async () => {
    const adding = add(worker, "late", second);
    const isListed = () => expect(list(worker)).resolves.toContainEqual(expect.objectContaining({ name: "late" }));
    await vi.waitFor(isListed, { interval: 1 });
    const late = textOf(worker, "late");
    expect(await textOf(worker, "one")).toBe(expected[1]);
    expect(await late).toBe(expected[2]);
    expect(await adding).toMatchObject({ state: "ready" });
    await remove(worker, "late");
  });

  it("says when they do not fit, and fits them once there is room", async () => {
    const config = { ...TINY_ADAPTER_CONFIG, r: 16 };
    const rank = 16 * (groupsIn(4) - 2);
    const updates = tinyUpdates(13, rank);
    const large = await adapterAt("large", { updates, config: { ...config, r: rank } });
    expect(await add(worker, "large", large)).toMatchObject({
      status: 409,
      error: { code: "conflict", message: expect.stringContaining("--adapter-memory") },
    });
    expect(await list(worker)).toHaveLength(2);
    await remove(worker, "one");
    await remove(worker, "two");
    expect(await add(worker, "large", large)).toMatchObject({ status: 200, rank, state: "ready" });
    await remove(worker, "large");
    await Promise.all([add(worker, "one", first), add(worker, "two", second)]);
    expect(await textOf(worker, "one")).toBe(expected[1]);
  });

  it("refuses what is no adapter of this model, and keeps nothing of it", async () => {
    const wide = new Map([...tinyUpdates()].map(([module, update]) => [`${module}_wide`, update]));
    const misfit = await adapterAt("misfit", { updates: wide });
    const dora = await adapterAt("dora", { config: { ...TINY_ADAPTER_CONFIG, use_dora: true } });
    const broken = await adapterAt("broken", {});
    const weights = join(broken, "adapter_model.safetensors");
    await writeFile(weights, (await readFile(weights)).subarray(0, 1000));
    for (const [path, message] of [
      [misfit, "which this model has not"],
      [dora, "DoRA is not supported"],
      [broken, "adapter_model.safetensors"],
      [join(model.directory, "nowhere"), "There is no adapter at"],
    ] as const) {
      expect(await add(worker, "wrong", path)).toMatchObject({
        status: 400,
        error: { code: "invalid_request", message: expect.stringContaining(message) },
      });
    }
    expect(await add(worker, "a@b", first)).toMatchObject({ status: 400 });
    expect(await add(worker, "tiny", first)).toMatchObject({ status: 409 });
    expect((await list(worker)).map(({ name }) => name).sort()).toEqual(["one", "two"]);
    expect(await ask(worker, "wrong")).toMatchObject({ status: 404 });
    expect(await call(worker, "DELETE", `${ADAPTERS_PATH}/%`)).toMatchObject({ status: 400 });
  });

  it("does nothing without a signature", async () => {
    const body = JSON.stringify({ name: "three", path: first });
    for (const init of [{ method: "POST", body }, { method: "GET" }]) {
      expect((await fetch(`${worker.url}${ADAPTERS_PATH}`, init)).status).toBe(401);
    }
    expect((await fetch(`${worker.url}${adapterPath("one")}`, { method: "DELETE" })).status).toBe(401);
    expect(await list(worker)).toHaveLength(2);
  });

  it("counts each adapter's requests, and tells what it takes", async () => {
    const metrics = await (await fetch(`${worker.url}/metrics`)).text();
    const bytes = bankGroupBytes(TINY_CONFIG);
    expect(metrics).toContain(`attune:adapter_bytes{model_name="one",state="ready"} ${bytes}`);
    expect(metrics).toContain(`attune:adapter_memory_cap_bytes ${4 * MEBIBYTE}`);
    expect(metrics).toContain('attune:adapter_requests{model_name="two",state="ready"} 0');
    expect(metrics).toMatch(/vllm:generation_tokens_total\{model_name="one",engine="0"\} [1-9]/);
    expect(metrics).not.toContain('attune:weight_set_loaded{model_name="one"');
  });
});

describe("a worker started with adapters", () => {
  it("serves them beside a merged one, over the plain weights", async () => {
    const worker = await start({ adapter: first, adapters: [{ name: "two", path: second }] });
    const { data } = await call<{ data: { id: string }[] }>(worker, "GET", WORKER_MODELS_PATH);
    expect(data.map(({ id }) => id)).toEqual(["tiny", "tiny-base", "two"]);
    const merged = await start({ adapter: second, adapterMemory: 0 });
    const [steered, plain, two] = await Promise.all(["tiny", "tiny-base", "two"].map((id) => textOf(worker, id)));
    expect(two).toBe(await textOf(merged, "tiny"));
    expect(new Set([steered, plain, two]).size).toBe(3);
    await Promise.all([worker.close(5), merged.close(5)]);
  });

  it("says so where there is no room for any", async () => {
    const adapters = [{ name: "two", path: second }];
    await expect(start({ adapterMemory: 0, adapters })).rejects.toThrow("--adapter-memory");
    const worker = await start({ adapterMemory: 0 });
    expect(await add(worker, "two", second)).toMatchObject({
      status: 404,
      error: { message: expect.stringContaining("--adapter-memory") },
    });
    await worker.close(5);
  });
});
