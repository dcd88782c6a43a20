import { afterAll, describe, expect, it } from "vitest";
import { EngineClient } from "../../gpu-worker/engine/client.ts";
import type { GenerationRequest } from "../../gpu-worker/engine/generation.ts";
import type { Ending } from "../../gpu-worker/engine/inference-engine.ts";
import { samplingSchema } from "../../schema/api/chat.ts";
import { TINY_CONFIG, tinyDecoder } from "../fixtures/tiny-llama.ts";
import { tinyTokenizer } from "../fixtures/tiny-tokenizer.ts";

const clients: EngineClient[] = [];
afterAll(() => Promise.all(clients.map((client) => client.close())));

async function start(model?: Uint8Array, onRestart?: (reason: string) => void) {
  const client = new EngineClient(
    {
      model: model ?? (await tinyDecoder("int8-blocks")),
      config: TINY_CONFIG,
      tokens: tinyTokenizer().tokenByteTable(),
      eosIds: [],
      threads: 1,
      options: { rows: 4, kvBytes: 2 ** 26, prefixBytes: 2 ** 20, mixedTokens: 16, prefillTokens: 32 },
    },
    { queuedRequests: 4, queuedTokens: 1000 },
    undefined,
    onRestart,
  );
  clients.push(client);
  return client;
}

function run(
  client: EngineClient,
  id: string,
  overrides: Partial<GenerationRequest> = {},
): Promise<Ending & { text: string }> {
  return new Promise((resolve) => {
    let text = "";
    const sampling = samplingSchema.parse({ temperature: 0 });
    client.submit(
      { id, prompt: [5, 6, 7], sampling, maxTokens: 20, ...overrides },
      {
        onStarted: () => {},
        onText: (piece) => {
          text += piece;
        },
        onEnd: (ending) => resolve({ ...ending, text }),
      },
    );
  });
}

/** What only a broken main thread would send: the engine thread dies of it. */
const poison: Partial<GenerationRequest> = JSON.parse('{"sampling":null}');

describe("the engine's client", () => {
  it("tells what was in flight that the engine crashed, starts it again, and serves as before", async () => {
    const restarts: string[] = [];
    const client = await start(undefined, (reason) => restarts.push(reason));
    await client.ready;
    const before = await run(client, "before");
    const victim = run(client, "victim", { maxTokens: 400 });
    const crashed = run(client, "poison", poison);
    expect(await crashed).toMatchObject({ kind: "failed", reason: expect.stringContaining("engine thread failed") });
    expect(await victim).toMatchObject({ kind: "failed" });
    expect(client.isReady).toBe(false);
    await expect(run(client, "refused")).rejects.toMatchObject({ code: "worker_unavailable" });
    await expect.poll(() => client.isReady, { timeout: 10_000 }).toBe(true);
    expect(restarts).toHaveLength(1);
    expect(client.running + client.waiting).toBe(0);
    expect(await run(client, "after")).toEqual(before);
  });

  it("gives up on an engine that cannot do a single step", async () => {
    const client = await start();
    await client.ready;
    void run(client, "poison", poison);
    expect(await client.stopped).toContain("engine thread failed");
  });

  it("says why a model cannot be loaded", async () => {
    const client = await start(new Uint8Array(10));
    await expect(client.ready).rejects.toThrow(/engine thread failed/);
  });
});
