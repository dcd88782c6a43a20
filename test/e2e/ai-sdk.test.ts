import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, generateText, streamText, type UIMessage, type UIMessageChunk } from "ai";
import { describe, expect, it } from "vitest";
import { TestChat, transportTo } from "./test-chat.ts";
import { ENDLESS, FIVE, tinyStack } from "./tiny-stack.ts";

const stack = tinyStack();

/** Fields of ours in every body, as a page or server adds them: the AI SDK's providers have no other place for them. */
const adding =
  (fields: object): typeof fetch =>
  (url, init) =>
    fetch(url, { ...init, body: JSON.stringify({ ...JSON.parse(String(init?.body)), ...fields }) });

describe.each(["chat", "responses"] as const)("the AI SDK's OpenAI provider, by %s", (api) => {
  const modelOf = (fields: object = FIVE, apiKey = stack.key()) =>
    createOpenAI({ apiKey, baseURL: stack.baseURL(), fetch: adding(fields) })[api]("tiny");
  const prompt = { system: "Be kind.", prompt: "hello", maxOutputTokens: 20, maxRetries: 0 };

  it("gets an answer with its usage, the same streamed and whole", async () => {
    const whole = await generateText({ ...prompt, model: modelOf() });
    expect([whole.text, whole.finishReason, whole.usage.outputTokens]).toEqual(["aaaaa", "stop", 6]);
    const streamed = streamText({ ...prompt, model: modelOf() });
    expect(await streamed.text).toBe("aaaaa");
    expect(await streamed.finishReason).toBe("stop");
    expect(await streamed.usage).toMatchObject({
      inputTokens: whole.usage.inputTokens,
      outputTokens: 6,
      totalTokens: whole.usage.totalTokens,
    });
  });

  it("hears that an answer was cut", async () => {
    const fields = { ...ENDLESS, min_tokens: 0 };
    const { text, finishReason } = await generateText({ ...prompt, model: modelOf(fields), maxOutputTokens: 4 });
    expect([text, finishReason]).toEqual(["aaaa", "length"]);
  });

  it("gets logprobs", async () => {
    const providerOptions = { openai: { logprobs: 2 } };
    const { providerMetadata } = await generateText({ ...prompt, model: modelOf(), providerOptions });
    const entries = [providerMetadata?.openai?.logprobs].flat(2);
    expect(entries).toHaveLength(5);
    expect(entries[0]).toMatchObject({ token: "a", logprob: expect.any(Number), top_logprobs: [{}, {}] });
  });

  it("gets errors in the server's own words", async () => {
    const refused = generateText({ ...prompt, model: modelOf({ ...FIVE, temperature: 9 }) });
    const error: unknown = await refused.catch((thrown: unknown) => thrown);
    expect(APICallError.isInstance(error) && [error.statusCode, error.isRetryable]).toEqual([400, false]);
    expect(error).toMatchObject({ message: expect.stringContaining("temperature") });
  });

  it("asks again where the server says that waiting helps", async () => {
    const apiKey = await stack.addKey({ concurrent_generations: 1 });
    const abort = new AbortController();
    const endless = modelOf({ ...ENDLESS, min_tokens: 0 }, apiKey);
    const running = streamText({ ...prompt, model: endless, maxOutputTokens: 400, abortSignal: abort.signal });
    const reader = running.textStream[Symbol.asyncIterator]();
    await reader.next();
    let refusals = 0;
    const counting: typeof fetch = async (...args) => {
      const response = await adding(FIVE)(...args);
      if (response.status === 429) refusals += 1;
      return response;
    };
    const patient = createOpenAI({ apiKey, baseURL: stack.baseURL(), fetch: counting })[api]("tiny");
    const waiting = generateText({ ...prompt, model: patient, maxRetries: 5 });
    await expect.poll(() => refusals).toBeGreaterThan(0);
    abort.abort();
    expect((await waiting).text).toBe("aaaaa");
  });

  it("frees its row when it aborts", async () => {
    const abort = new AbortController();
    const model = modelOf({ ...ENDLESS, min_tokens: 0 });
    const answer = streamText({ ...prompt, model, maxOutputTokens: 400, abortSignal: abort.signal });
    await answer.textStream[Symbol.asyncIterator]().next();
    abort.abort();
    await expect.poll(stack.runningGenerations).toBe(0);
  });
});

describe("useChat's transport", () => {
  const asking = (fields: object = {}) => {
    const body = { model: "tiny", max_tokens: 20, ...FIVE, ...fields };
    return transportTo({ baseURL: stack.baseURL(), key: stack.key(), body });
  };
  const user = (text: string): UIMessage => ({ id: "u1", role: "user", parts: [{ type: "text", text }] });
  async function chunksOf(fields: object, messages: UIMessage[]): Promise<UIMessageChunk[]> {
    const options = { chatId: "c1", messageId: undefined, trigger: "submit-message", abortSignal: undefined } as const;
    const chunks: UIMessageChunk[] = [];
    for await (const chunk of await asking(fields).sendMessages({ ...options, messages })) chunks.push(chunk);
    return chunks;
  }

  it("gets the parts of one message in order, and with the last of them usage and steering", async () => {
    const chunks = await chunksOf({ steer: { attributes: { verbosity: 4 } } }, [user("hello")]);
    const deltas = chunks.flatMap((chunk) => (chunk.type === "text-delta" ? [chunk.delta] : []));
    expect(deltas.join("")).toBe("aaaaa");
    expect(chunks.filter(({ type }) => type !== "text-delta")).toEqual([
      { type: "start", messageId: expect.stringMatching(/^gen_/) },
      { type: "text-start", id: "text-1" },
      { type: "text-end", id: "text-1" },
      {
        type: "finish",
        finishReason: "stop",
        messageMetadata: {
          usage: { inputTokens: expect.any(Number), outputTokens: 6, totalTokens: expect.any(Number) },
          steer: expect.objectContaining({ effective: { verbosity: 4 }, method: "label_line" }),
        },
      },
    ]);
  });

  it("says that it is version 1 of the protocol", async () => {
    const response = await fetch(`${stack.baseURL()}/chat/ui`, {
      method: "POST",
      headers: { authorization: `Bearer ${stack.key()}` },
      body: JSON.stringify({ model: "tiny", max_tokens: 20, ...FIVE, messages: [user("hello")] }),
    });
    expect(response.headers.get("x-vercel-ai-ui-message-stream")).toBe("v1");
    expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
    expect((await response.text()).endsWith("data: [DONE]\n\n")).toBe(true);
  });

  it("keeps a conversation, with the metadata of its answers, and answers anew where it is asked to", async () => {
    const chat = new TestChat(asking({ steer: { attributes: { verbosity: 2 } } }));
    await chat.sendMessage({ text: "hello" });
    await chat.sendMessage({ text: "and then?" });
    expect(chat.messages.map(({ role }) => role)).toEqual(["user", "assistant", "user", "assistant"]);
    const [, first, , second] = chat.messages;
    expect(second?.parts).toMatchObject([{ type: "text", text: "aaaaa" }]);
    const inputTokens = expect.any(Number);
    expect(first?.metadata).toMatchObject({ usage: { inputTokens, outputTokens: 6 }, steer: { method: "label_line" } });
    await chat.regenerate();
    expect(chat.messages).toHaveLength(4);
    expect(chat.messages.at(-1)?.id).not.toBe(second?.id);
    expect([chat.status, chat.error]).toEqual(["ready", undefined]);
  });

  it("gives the model back the levels that an earlier answer was generated under", async () => {
    const inputTokens = async (metadata: unknown) => {
      const answer: UIMessage = { id: "a1", role: "assistant", metadata, parts: [{ type: "text", text: "hi" }] };
      const finish = (
        await chunksOf({ steer: { attributes: { verbosity: 2 } } }, [user("hello"), answer, user("again")])
      ).at(-1);
      return finish?.type === "finish" ? finish.messageMetadata : null;
    };
    const labelled = await inputTokens({ steer: { effective: { verbosity: 1 } }, shown: true });
    const plain = await inputTokens({ shown: true });
    const tokens = (metadata: unknown) => JSON.stringify(metadata).match(/"inputTokens":(\d+)/)?.[1];
    expect(Number(tokens(labelled))).toBeGreaterThan(Number(tokens(plain)));
  });

  it("shows a refusal as an error", async () => {
    const chat = new TestChat(asking({ model: "gpt-4o" }));
    await chat.sendMessage({ text: "hello" });
    expect(chat.status).toBe("error");
    expect(chat.error?.message).toContain("gpt-4o");
  });

  it.each([
    ["n", { n: 2 }],
    ["steer.fan_out", { steer: { fan_out: [{ verbosity: 0 }] } }],
    ["tools", { tools: [{}] }],
  ])("with %s, which a message has no place for, is refused", async (param, fields) => {
    await expect(chunksOf(fields, [user("hello")])).rejects.toThrow(param);
  });

  it("with a file is refused", async () => {
    const file: UIMessage = {
      id: "u1",
      role: "user",
      parts: [{ type: "file", mediaType: "image/png", url: "data:," }],
    };
    await expect(chunksOf({}, [file])).rejects.toThrow(/only text parts/);
  });

  it("keeps what was written when it is stopped, and frees its row", async () => {
    const chat = new TestChat(asking({ ...ENDLESS, min_tokens: 0, max_tokens: 400 }));
    const sending = chat.sendMessage({ text: "hello" });
    await expect.poll(() => chat.lastText(), { interval: 1 }).toMatch(/^a+$/);
    await chat.stop();
    await sending;
    expect(chat.status).toBe("ready");
    await expect.poll(stack.runningGenerations).toBe(0);
  });

  it("hears of a worker that stops half-way, and keeps what was written", async () => {
    const chat = new TestChat(asking({ ...ENDLESS, min_tokens: 0, max_tokens: 400 }));
    const sending = chat.sendMessage({ text: "hello" });
    // The whole answer takes the tiny model some hundred milliseconds.
    await expect.poll(() => chat.lastText(), { interval: 1 }).toMatch(/^a+$/);
    await stack.stopWorker();
    await sending;
    expect(chat.status).toBe("error");
    expect(chat.error?.message).toContain("shutting down");
    expect(chat.lastText()).toMatch(/^a+$/);
  });
});
