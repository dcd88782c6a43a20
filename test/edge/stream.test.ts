import { describe, expect, it } from "vitest";
import { DONE_LINE } from "../../schema/wire/frames.ts";
import { type Client, chat, newProject, seenBy } from "./project.ts";

const PATH = "/v1/chat/completions";

/** The data lines of a whole stream. */
async function readData(response: Response): Promise<string[]> {
  return (await response.text()).split("\n").filter((line) => line.startsWith("data: "));
}

/** Reads until something of the answer has come, and hands the open stream back. */
async function readSome(response: Response, wanted: string): Promise<ReadableStreamDefaultReader<Uint8Array>> {
  const reader = response.body?.getReader();
  if (reader === undefined) throw new Error("no body");
  const decoder = new TextDecoder();
  for (let text = ""; !text.includes(wanted); ) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`ended before ${wanted}: ${text}`);
    text += decoder.decode(value, { stream: true });
  }
  return reader;
}

const used = async (call: Client, limit: number) =>
  limit - Number((await call("/v1/models")).headers.get("x-ratelimit-remaining-tokens"));

describe("a streamed answer", () => {
  it("is the worker's frames, unchanged, ending in [DONE]", async () => {
    const call = await newProject({ tokens: 10_000 });
    const { body } = chat("hello", {
      stream: true,
      stream_options: { include_usage: true },
      steer: { attributes: { verbosity: 1 } },
    });
    const response = await call(PATH, body);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    expect(response.headers.get("cache-control")).toBe("no-cache, no-transform");
    expect(response.headers.get("x-accel-buffering")).toBe("no");
    expect(response.headers.get("x-ratelimit-limit-tokens")).toBe("10000");
    const lines = await readData(response);
    expect(lines.at(-1)).toBe(DONE_LINE);
    const frames = lines.slice(0, -1).map((line) => JSON.parse(line.slice(6)));
    expect(frames.map((frame) => frame.choices[0].delta.content ?? "").join("")).toBe("Grüß dich, 世界 👋🏽!");
    expect(frames.at(-1)).toMatchObject({ steer: { effective: { verbosity: 1 } }, usage: { total_tokens: 8 } });
    await expect.poll(() => used(call, 10_000)).toBe(8);
  });

  it("arrives whole when the network cuts it anywhere", async () => {
    const call = await newProject();
    const lines = await readData(await call(PATH, chat("bytewise", { stream: true }).body));
    const frames = lines.slice(0, -1).map((line) => JSON.parse(line.slice(6)));
    expect(frames.map((frame) => frame.choices[0].delta.content ?? "").join("")).toBe("Grüß dich, 世界 👋🏽!");
  });

  it("begins with a comment and keeps writing them while the worker is silent", async () => {
    const call = await newProject();
    const response = await call(PATH, chat("silent", { stream: true }).body);
    const reader = await readSome(response, ": hb\n\n: hb\n\n: hb\n\n");
    await reader.cancel();
  });

  it("that the worker breaks off ends in an error, not in what looks like success, and costs what was written", async () => {
    const call = await newProject({ tokens: 10_000 });
    const lines = await readData(await call(PATH, chat("dies", { stream: true }).body));
    expect(lines).toHaveLength(4);
    expect(JSON.parse(lines.at(-1)?.slice(6) ?? "")).toEqual({
      error: {
        message: expect.stringContaining("broke off"),
        type: "server_error",
        param: null,
        code: "generation_failed",
      },
    });
    await expect.poll(() => used(call, 10_000)).toBe(3 + 3);
  });

  it("that the worker itself ends with an error is passed on as it is", async () => {
    const call = await newProject();
    const lines = await readData(await call(PATH, chat("fails", { stream: true }).body));
    expect(lines.at(-1)).toContain("The worker failed.");
    expect(lines.filter((line) => line.includes('"error"'))).toHaveLength(1);
  });
});

describe("a client that goes away", () => {
  it("stops the worker and pays exactly what was generated", async () => {
    const call = await newProject({ tokens: 10_000 });
    const { text, body } = chat("slow", { stream: true });
    const reader = await readSome(await call(PATH, body), '" 5"');
    await reader.cancel();
    await expect.poll(() => seenBy(text)).toMatchObject({ state: "cancelled", connectionClosed: true, cancels: 1 });
    const seen = await seenBy(text);
    await expect.poll(() => used(call, 10_000)).toBe(seen?.usage.total_tokens);
    expect(seen?.usage.completion_tokens).toBeLessThan(100);
  });

  it("before the first token stops the worker as well", async () => {
    const call = await newProject({ tokens: 10_000 });
    const { text, body } = chat("silent", { stream: true });
    const reader = await readSome(await call(PATH, body), ": hb");
    await reader.cancel();
    await expect.poll(() => seenBy(text)).toMatchObject({ state: "cancelled", connectionClosed: true, cancels: 1 });
    await expect.poll(() => used(call, 10_000)).toBe(3);
  });

  it("after the end changes nothing", async () => {
    const call = await newProject({ tokens: 10_000 });
    const { text, body } = chat("hello", { stream: true });
    const reader = await readSome(await call(PATH, body), DONE_LINE);
    await reader.cancel();
    await expect.poll(() => used(call, 10_000)).toBe(8);
    expect(await seenBy(text)).toMatchObject({ state: "completed", cancels: 0 });
  });

  it("while it waits for an answer without streaming stops the worker when the abort is seen", async () => {
    const call = await newProject({ tokens: 10_000 });
    const { text, body } = chat("silent");
    const abort = new AbortController();
    const answer = call(PATH, body, { signal: abort.signal });
    await expect.poll(() => seenBy(text)).not.toBeNull();
    abort.abort();
    await expect(answer).rejects.toThrow();
    await expect.poll(() => seenBy(text)).toMatchObject({ state: "cancelled", connectionClosed: true, cancels: 1 });
    await expect.poll(() => used(call, 10_000)).toBe(3);
  });
});
