import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunningWorker } from "../../gpu-worker/server/serve.ts";
import { GENERATIONS_PATH } from "../../schema/wire/generate.ts";
import { READINESS_PATH, readinessSchema } from "../../schema/wire/readiness.ts";
import { writeTinyModel } from "../fixtures/tiny-llama.ts";
import { startTinyWorker, TINY_SECRET } from "../fixtures/tiny-worker.ts";
import { signedClient } from "./signed-client.ts";

const NEXT_SECRET = "the-secret-that-comes-next";

let model: Awaited<ReturnType<typeof writeTinyModel>>;
let worker: RunningWorker;
beforeAll(async () => {
  model = await writeTinyModel();
  worker = await startTinyWorker(model.path, { otherSecret: NEXT_SECRET });
});
afterAll(async () => {
  await worker.close(0);
  await model.remove();
});

const ENDLESS = {
  generation: "gen_readiness1",
  dialect: "openai",
  model: "tiny",
  messages: [{ role: "user", content: "hello" }],
  steering: { effective: {}, method: "none", preset: null, clamped: [], not_trained: [], note: null },
  sampling: { temperature: 0, logit_bias: { 100: 100 }, ignore_eos: true, max_tokens: 300 },
  stream: true,
  include_usage: false,
};

async function load() {
  return readinessSchema.parse(await (await fetch(worker.url + READINESS_PATH)).json()).load;
}

describe("a worker's load, as whoever balances it is told", () => {
  it("is what its requests may yet take, and nothing when they are over", async () => {
    expect(await load()).toEqual({ generations: 0, tokens: 0 });
    const leave = new AbortController();
    const client = signedClient(worker.url, TINY_SECRET);
    const response = await client.send("POST", GENERATIONS_PATH, ENDLESS, { signal: leave.signal });
    expect(response.status).toBe(200);
    const { generations, tokens } = await load();
    expect(generations).toBe(1);
    expect(tokens).toBeGreaterThan(300);
    leave.abort();
    await expect.poll(load, { timeout: 10_000 }).toEqual({ generations: 0, tokens: 0 });
  });
});

describe("a worker that is told of another secret", () => {
  it("is called with either of them, and with no third", async () => {
    const status = async (secret: string) => (await signedClient(worker.url, secret).send("GET", "/v1/models")).status;
    expect(await status(TINY_SECRET)).toBe(200);
    expect(await status(NEXT_SECRET)).toBe(200);
    expect(await status("a-third-secret-of-some-length")).toBe(401);
  });
});
