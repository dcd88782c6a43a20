import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Patience } from "../../../../gpu-worker/model/patience.ts";
import { CallStore } from "../../../../gpu-worker/steerlm/benchmarks/call-store.ts";
import { Chat, type ChatServer } from "../../../../gpu-worker/steerlm/benchmarks/chat-server.ts";
import { JudgeRun, type JudgeRunOptions } from "../../../../gpu-worker/steerlm/benchmarks/judge-run.ts";
import { concurrently } from "../../../../gpu-worker/steerlm/concurrently.ts";
import { refuseChat, startChatServer } from "../../../fixtures/chat-server.ts";

let directory: string;
let store: CallStore;
let waits: number[];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "attune-chat-"));
  store = new CallStore(join(directory, "calls.sqlite"));
  waits = [];
});
afterEach(async () => {
  store[Symbol.dispose]();
  await rm(directory, { recursive: true });
});

const { signal } = new AbortController();
const patience = (): Patience => ({
  delays: [10, 20],
  longest: 5000,
  sleep: async (milliseconds) => void waits.push(milliseconds),
});
const chatWith = (server: Pick<ChatServer, "url"> & Partial<ChatServer>) =>
  new Chat({ model: "judge", ...server }, store, patience());
const HELLO = { messages: [{ role: "user" as const, content: "Hello" }], temperature: 0, max_tokens: 5 };

describe("a server that speaks OpenAI's chat completions", () => {
  it("is asked with the model's name, the key and the question", async () => {
    const { url, asked } = await startChatServer(() => "Hi");
    const answer = await chatWith({ url, key: "sk-secret" }).ask(HELLO, signal);
    expect(answer).toEqual({ content: "Hi", firstToken: null });
    expect(asked).toEqual([
      { model: "judge", ...HELLO, path: "/v1/chat/completions", authorization: "Bearer sk-secret" },
    ]);
  });

  it("gets more fields where the user gives them, and none that the user takes away", async () => {
    const { url, asked } = await startChatServer(() => "Hi");
    const body = { steer: { attributes: { verbosity: 0 } }, max_tokens: null, max_completion_tokens: 9 };
    await chatWith({ url: `${url}/`, body }).ask(HELLO, signal);
    expect(asked[0]).toMatchObject({ steer: { attributes: { verbosity: 0 } }, max_completion_tokens: 9 });
    expect(asked[0]).not.toHaveProperty("max_tokens");
  });

  it("is not asked again what it has answered, also by a later run", async () => {
    const { url, asked } = await startChatServer(() => "Hi");
    await chatWith({ url }).ask(HELLO, signal);
    store[Symbol.dispose]();
    store = new CallStore(join(directory, "calls.sqlite"));
    expect((await chatWith({ url }).ask(HELLO, signal)).content).toBe("Hi");
    expect(asked).toHaveLength(1);
    await chatWith({ url, model: "other" }).ask(HELLO, signal);
    await chatWith({ url }).ask({ ...HELLO, temperature: 1 }, signal);
    expect(asked).toHaveLength(3);
  });

  it("is asked again after a while when it has too many requests or fails, as long as it says", async () => {
    let count = 0;
    const { url, asked } = await startChatServer((_, response) => {
      count++;
      if (count === 1) return refuseChat(response, 429, "Slow down", { "retry-after": "3" });
      if (count === 2) return refuseChat(response, 503, "Overloaded");
      return "Hi";
    });
    expect((await chatWith({ url }).ask(HELLO, signal)).content).toBe("Hi");
    expect(asked).toHaveLength(3);
    expect(waits).toEqual([3000, 20]);
  });

  it("is asked again when the connection breaks", async () => {
    let count = 0;
    const { url } = await startChatServer((_, response) => {
      count++;
      if (count > 1) return "Hi";
      response.socket?.destroy();
      return undefined;
    });
    expect((await chatWith({ url }).ask(HELLO, signal)).content).toBe("Hi");
  });

  it("that refuses ends the run with its own words, and nothing is kept of it", async () => {
    const { url, asked } = await startChatServer((_, response) =>
      refuseChat(response, 401, "Incorrect API key provided"),
    );
    const message = `${url}/chat/completions: HTTP 401: Incorrect API key provided`;
    await expect(chatWith({ url }).ask(HELLO, signal)).rejects.toThrow(message);
    await expect(chatWith({ url }).ask(HELLO, signal)).rejects.toThrow(message);
    expect(asked).toHaveLength(2);
    expect(waits).toEqual([]);
  });

  it("that answers something else ends the run", async () => {
    const { url } = await startChatServer((_, response) => {
      response.end("<html>Welcome</html>");
      return undefined;
    });
    await expect(chatWith({ url }).ask(HELLO, signal)).rejects.toThrow(
      "did not answer as OpenAI's chat completions do: <html>",
    );
  });

  it("that cannot be reached ends the run at once", async () => {
    await expect(chatWith({ url: "http://127.0.0.1:1/v1" }).ask(HELLO, signal)).rejects.toThrow(
      "http://127.0.0.1:1/v1",
    );
    expect(waits).toEqual([]);
  });

  it("is left when the user ends the run", async () => {
    const ended = new AbortController();
    const { url } = await startChatServer(() => {
      ended.abort(new Error("Interrupted"));
      return undefined;
    });
    await expect(chatWith({ url }).ask(HELLO, ended.signal)).rejects.toThrow("Interrupted");
  });
});

describe("answers that are kept", () => {
  it("belong to one run at a time, which another is told", async () => {
    const options: JudgeRunOptions = {
      directory: join(directory, "run"),
      judge: { url: "http://127.0.0.1:1/v1", model: "judge" },
      concurrency: 1,
      signal,
      patience: patience(),
      onProgress: () => () => {},
    };
    const first = await JudgeRun.open(options);
    await expect(JudgeRun.open(options)).rejects.toThrow(`Another process works in ${options.directory}`);
    first[Symbol.dispose]();
    (await JudgeRun.open(options))[Symbol.dispose]();
  });

  it("are refused where the file is something else", async () => {
    const path = join(directory, "other.sqlite");
    await writeFile(path, "This is no database, and long enough to be taken for one. ".repeat(20));
    expect(() => new CallStore(path)).toThrow(`Cannot write ${path}: file is not a database`);
  });
});

describe("work that is done several at a time", () => {
  it("is never more at once than allowed, and comes back in order", async () => {
    let running = 0;
    let most = 0;
    const results = await concurrently([5, 3, 8, 1, 2], 2, signal, async (item) => {
      most = Math.max(most, ++running);
      for (let turn = 0; turn < item; turn++) await Promise.resolve();
      running--;
      return item * 2;
    });
    expect(results).toEqual([10, 6, 16, 2, 4]);
    expect(most).toBe(2);
  });

  it("ends with its first failure, which the others hear of", async () => {
    const heard: unknown[] = [];
    const work = concurrently([0, 1, 2], 2, signal, async (item, either) => {
      if (item === 0) {
        await new Promise((resolve) => either.addEventListener("abort", resolve, { once: true }));
        heard.push(either.reason);
      }
      if (item === 1) throw new Error("The judge is gone");
      return item;
    });
    await expect(work).rejects.toThrow("The judge is gone");
    expect(heard).toEqual([new Error("The judge is gone")]);
  });
});
