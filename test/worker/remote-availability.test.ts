import type { ServerResponse } from "node:http";
import { describe, expect, it } from "vitest";
import { modelsOf, STREAM } from "../fixtures/completions-server.ts";
import { ask, connect, connectTo, counted, start } from "./remote-harness.ts";

describe("admission", () => {
  it("refuses more than may wait for the server, and what it holds already", async () => {
    const responses: ServerResponse[] = [];
    const { engine } = await connectTo((response) => void responses.push(response));
    const first = ask(engine, "first");
    const second = ask(engine, "second");
    await expect(ask(engine, "third")).rejects.toMatchObject({ code: "queue_full" });
    await expect(ask(engine, "second")).rejects.toMatchObject({ code: "conflict" });
    await expect.poll(() => responses.length).toBe(2);
    for (const response of responses) response.end(counted("Hello", 2, "stop"));
    expect([(await first).kind, (await second).kind]).toEqual(["finished", "finished"]);
  });

  it("refuses what exceeds the server's context", async () => {
    const list = { data: [{ id: "llama", owned_by: "vllm", max_model_len: 20 }] };
    const { engine } = await connectTo((response) => void response.end(), list);
    await expect(ask(engine)).rejects.toMatchObject({ code: "context_length_exceeded", param: "messages" });
  });
});

describe("a server's model", () => {
  it("is its only one", async () => {
    const { engine, server } = await connectTo(
      (response) => void response.end(counted("", 1, "stop")),
      modelsOf("vllm", "only"),
    );
    await ask(engine);
    expect(server.asked).toEqual([expect.objectContaining({ model: "only" })]);
  });

  it("is the LoRA that was named, even one that is not listed", async () => {
    const server = await start((_, response) => response.writeHead(200, STREAM).end(counted("", 1, "stop")), {
      models: modelsOf("sglang", "base"),
    });
    const engine = connect(`${server.url}/v1/`, { model: "base:steered", key: "secret" });
    await engine.ready;
    await ask(engine);
    // SGLang's word for all tokens.
    expect(server.asked).toEqual([expect.objectContaining({ model: "base:steered", top_k: -1 })]);
    expect(server.headers.authorization).toBe("Bearer secret");
  });

  it("must be chosen where there are more, and the key be right", async () => {
    const several = await start(() => {}, { models: modelsOf("vllm", "base", "lora") });
    const undecided = connect(several.url);
    await expect(undecided.ready).rejects.toThrow(/2 models \(base, lora\).*--remote-model/);
    expect(await undecided.stopped).toContain("--remote-model");
    const closed = await start(() => {}, { status: () => ({ health: 200, models: 401 }) });
    await expect(connect(closed.url).ready).rejects.toThrow(/401.*--remote-key-env/);
  });
});

describe("a server that comes and goes", () => {
  it("is waited for, and found again", async () => {
    let health = 503;
    const lost: string[] = [];
    const finish = (_: unknown, response: ServerResponse) =>
      response.writeHead(200, STREAM).end(counted("Hello", 2, "stop"));
    const server = await start(finish, { status: () => ({ health, models: 200 }) });
    const engine = connect(server.url, { onLost: (reason) => lost.push(reason) });
    await expect.poll(() => lost).toHaveLength(1);
    expect(lost[0]).toContain("503");
    await expect(ask(engine)).rejects.toMatchObject({ code: "worker_unavailable" });
    health = 404;
    await engine.ready;
    expect(await ask(engine)).toMatchObject({ kind: "finished" });

    await server.close();
    await expect.poll(() => engine.isReady).toBe(false);
    const again = await start(finish, { port: Number(new URL(server.url).port) });
    await expect.poll(() => engine.isReady).toBe(true);
    expect(await ask(engine)).toMatchObject({ kind: "finished" });
    expect(again.asked).toHaveLength(1);
    expect(lost).toHaveLength(2);
  });

  it("fails what is in flight once it has not been heard of for long", async () => {
    let health = 200;
    const server = await start((_, response) => void response.writeHead(200, STREAM).write(counted("Hel", 3)), {
      status: () => ({ health, models: 200 }),
    });
    const engine = connect(server.url, { patienceMs: 0 });
    await engine.ready;
    const outcome = await ask(engine, "abandoned", () => {
      health = 500;
    });
    expect(outcome).toMatchObject({ kind: "failed", completionTokens: 3, reason: expect.stringContaining("lost") });
  });

  it("is not waited for any longer once the worker closes", async () => {
    const server = await start(() => {}, { status: () => ({ health: 503, models: 503 }) });
    const engine = connect(server.url);
    await engine.close();
    await expect(engine.ready).rejects.toThrow("closing");
    expect(await engine.stopped).toContain("closing");
  });

  it("takes its generations with it when the worker closes", async () => {
    const { engine } = await connectTo((response) => void response.write(counted("Hel", 3)));
    const closing = Promise.withResolvers<void>();
    const outcome = await ask(engine, "closing", () => void engine.close().then(closing.resolve));
    expect(outcome).toMatchObject({ kind: "failed", completionTokens: 3, reason: expect.stringContaining("closing") });
    await closing.promise;
  });
});
