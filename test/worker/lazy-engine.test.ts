import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { EngineClient } from "../../gpu-worker/engine/client.ts";
import { Arrivals } from "../../gpu-worker/server/arrivals.ts";
import { GenerationLog } from "../../gpu-worker/server/generation-log.ts";
import { LazyEngine } from "../../gpu-worker/server/lazy-engine.ts";
import { TINY_CONFIG, tinyDecoder } from "../fixtures/tiny-llama.ts";
import { tinyTokenizer } from "../fixtures/tiny-tokenizer.ts";

let decoder: Uint8Array;
beforeAll(async () => {
  decoder = await tinyDecoder("int8-blocks");
});

function startEngine(): EngineClient {
  const tokenizer = tinyTokenizer();
  const options = { rows: 2, mixedTokens: 64, prefillTokens: 64, kvBytes: 1e8, prefixBytes: 0 };
  return new EngineClient(
    { model: decoder, config: TINY_CONFIG, tokens: tokenizer.tokenByteTable(), eosIds: [], threads: 1, options },
    { queuedRequests: 1, queuedTokens: 100 },
  );
}

/** An engine whose weights are prepared by hand: `start` settles when the test says so. */
function lazyEngine({ waiting = 4, patienceMs = 60_000 } = {}) {
  const starts: PromiseWithResolvers<EngineClient>[] = [];
  const failures: unknown[] = [];
  const engine = new LazyEngine({
    model: "tiny-base",
    start: (signal) => {
      const start = Promise.withResolvers<EngineClient>();
      signal.addEventListener("abort", () => start.reject(new Error("given up")));
      starts.push(start);
      return start.promise;
    },
    waiting,
    onFailure: (error) => failures.push(error),
    patienceMs,
  });
  onTestFinished(() => engine.close());
  return { engine, starts, failures };
}

describe("an engine that is loaded on first use", () => {
  it("is started once, by the first who asks, and whoever asks meanwhile waits", async () => {
    const { engine, starts } = lazyEngine();
    expect(engine.current).toBeNull();
    const requests = [engine.forRequest(), engine.forRequest()];
    expect(starts).toHaveLength(1);
    const client = startEngine();
    starts[0]?.resolve(client);
    expect(await Promise.all(requests)).toEqual([client, client]);
    expect(engine.current).toBe(client);
    expect(await engine.forRequest()).toBe(client);
    expect(starts).toHaveLength(1);
  });

  it("asks a request to come again where loading takes too long, and goes on loading", async () => {
    const { engine, starts } = lazyEngine({ patienceMs: 0 });
    await expect(engine.forRequest()).rejects.toMatchObject({ code: "worker_unavailable", status: 503 });
    const client = startEngine();
    starts[0]?.resolve(client);
    expect(await engine.load()).toBe(client);
    expect(await engine.forRequest()).toBe(client);
  });

  it("says that it could not be loaded, reports why, and tries again for the next who asks", async () => {
    const { engine, starts, failures } = lazyEngine();
    const request = engine.forRequest();
    const reason = new Error("the disk is full");
    starts[0]?.reject(reason);
    await expect(request).rejects.toMatchObject({
      code: "worker_unavailable",
      message: "tiny-base could not be loaded on this server. Ask its operator, or use another model.",
    });
    expect(failures).toEqual([reason]);
    const second = engine.forRequest();
    const client = startEngine();
    starts[1]?.resolve(client);
    expect(await second).toBe(client);
  });

  it("is started again after it was lost", async () => {
    const { engine, starts } = lazyEngine();
    const first = startEngine();
    void engine.load();
    starts[0]?.resolve(first);
    await engine.load();
    await first.close();
    await first.stopped;
    const request = engine.forRequest();
    const second = startEngine();
    starts[1]?.resolve(second);
    expect(await request).toBe(second);
  });

  it("lets only so many requests wait", async () => {
    const { engine, starts } = lazyEngine({ waiting: 1 });
    const admitted = engine.forRequest();
    await expect(engine.forRequest()).rejects.toMatchObject({ code: "queue_full", status: 429 });
    starts[0]?.resolve(startEngine());
    await admitted;
  });

  it("gives up loading when it is closed, which is no failure", async () => {
    const { engine, failures } = lazyEngine();
    const request = engine.forRequest();
    const refused = expect(request).rejects.toMatchObject({ code: "worker_unavailable" });
    await engine.close();
    await refused;
    expect(failures).toEqual([]);
  });
});

describe("a generation that waits for its model", () => {
  const arrive = () => {
    const log = new GenerationLog();
    const lazy = lazyEngine();
    const response = new ServerResponse(new IncomingMessage(new Socket()));
    const arrivals = new Arrivals(log);
    return { ...lazy, log, response, arrivals, arrived: arrivals.until("gen_1", lazy.engine.forRequest(), response) };
  };

  it("has used nothing when it is cancelled or its connection closes before the model is loaded", async () => {
    for (const leave of ["cancel", "close"]) {
      const { starts, log, response, arrivals, arrived } = arrive();
      if (leave === "cancel") arrivals.cancel("gen_1");
      else response.emit("close");
      expect(await log.report("gen_1")).toEqual({
        id: "gen_1",
        state: "cancelled",
        usage: expect.objectContaining({ total_tokens: 0 }),
      });
      starts[0]?.resolve(startEngine());
      expect(await arrived).toBeNull();
    }
  });

  it("goes to the engine otherwise", async () => {
    const { starts, log, arrivals, arrived } = arrive();
    const client = startEngine();
    starts[0]?.resolve(client);
    expect(await arrived).toBe(client);
    arrivals.cancel("gen_1");
    expect(await log.report("gen_1")).toBeNull();
  });
});
