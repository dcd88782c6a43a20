import { DefaultChatTransport, type UIMessage, type UIMessageChunk } from "ai";
import { describe, expect, it } from "vitest";
import { generationSchema } from "../../schema/api/generations.ts";
import { ENDLESS, FIVE, tinyStack } from "./tiny-stack.ts";

const stack = tinyStack();

/** As long as the tiny model's context allows. */
const LONG = { ...ENDLESS, min_tokens: 0, max_tokens: 400 };

const call = (path: string, init: RequestInit = {}) =>
  fetch(`${stack.baseURL()}${path}`, { ...init, headers: { authorization: `Bearer ${stack.key()}`, ...init.headers } });

const ask = (fields: object, headers: Record<string, string> = {}) =>
  call("/chat/completions", {
    method: "POST",
    headers,
    body: JSON.stringify({ model: "tiny", stream: true, messages: [{ role: "user", content: "hello" }], ...fields }),
  });

const read = async (response: Response) => (await response.text()).replaceAll(/^:.*\n\n/gm, "");
const idOf = (response: Response) => response.headers.get("x-generation-id") ?? "";
const find = async (id: string) => generationSchema.parse(await (await call(`/generations/${id}`)).json());

/** Reads until an event came, and hangs up. */
async function leaveEarly(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  for (let text = ""; ; ) {
    const { value, done } = (await reader?.read()) ?? { done: true };
    if (done) throw new Error(`ended early: ${text}`);
    text += decoder.decode(value, { stream: true });
    if (!text.includes("data: ")) continue;
    await reader?.cancel();
    return text.replaceAll(/^:.*\n\n/gm, "");
  }
}

describe("a resumable answer", () => {
  it("goes on when its client hangs up, and is read to its end", async () => {
    const response = await ask({ ...LONG, resumable: true, stream_options: { include_usage: true } });
    const first = await leaveEarly(response);
    const whole = await read(await call(`/generations/${idOf(response)}/events`));
    expect(whole.startsWith(first)).toBe(true);
    expect(whole.match(/"content":"a"/g)?.length).toBe(400);
    const last = first
      .match(/^id: .*:(\d+):\d+$/gm)
      ?.at(-1)
      ?.split(":")[2];
    expect(first + (await read(await call(`/generations/${idOf(response)}/events?after=${last}`)))).toBe(whole);
    const { state, usage } = await find(idOf(response));
    expect(state).toBe("completed");
    expect(whole).toContain(JSON.stringify({ usage }).slice(1, -1));
  });

  it("is cancelled when its owner says so, and frees its row", async () => {
    const response = await ask({ ...LONG, resumable: true });
    await leaveEarly(response);
    await call(`/generations/${idOf(response)}/cancel`, { method: "POST" });
    await expect.poll(stack.runningGenerations).toBe(0);
    const events = await read(await call(`/generations/${idOf(response)}/events`));
    const { usage, state } = await find(idOf(response));
    if (state === "cancelled") expect(events).toContain('"code":"generation_cancelled"');
    const lastCount = events
      .match(/^id: .*:(\d+)$/gm)
      ?.at(-1)
      ?.split(":")
      .at(-1);
    expect(usage?.completion_tokens).toBeGreaterThanOrEqual(Number(lastCount));
  });

  it("that the edge was restarted under ends in an error, with what it used", async () => {
    const response = await ask({ ...LONG, resumable: true });
    const first = await leaveEarly(response);
    await stack.restartEdge();
    const events = await read(await call(`/generations/${idOf(response)}/events`));
    expect(events.startsWith(first)).toBe(true);
    await expect.poll(stack.runningGenerations).toBe(0);
    const { state, usage } = await find(idOf(response));
    // The tiny model may have been done before the edge was stopped.
    expect(events).toMatch(state === "completed" ? /data: \[DONE\]\n\n$/ : /restarted.*"generation_failed"\}\}\n\n$/);
    expect(usage?.completion_tokens).toBeGreaterThan(0);
  });
});

describe("the AI SDK's transport", () => {
  it("resumes an answer from where the page says", async () => {
    const headers = { authorization: `Bearer ${stack.key()}` };
    let generation = "";
    const transport = new DefaultChatTransport({
      api: `${stack.baseURL()}/chat/ui`,
      headers,
      body: { model: "tiny", resumable: true, max_tokens: 20, ...FIVE },
      prepareReconnectToStreamRequest: () => ({ api: `${stack.baseURL()}/generations/${generation}/events`, headers }),
    });
    const messages: UIMessage[] = [{ id: "u1", role: "user", parts: [{ type: "text", text: "hello" }] }];
    const chatId = "c1";
    const sent = await transport.sendMessages({
      chatId,
      trigger: "submit-message",
      messageId: undefined,
      messages,
      abortSignal: undefined,
    });
    const all = async (stream: ReadableStream<UIMessageChunk> | null) => {
      const chunks: UIMessageChunk[] = [];
      for await (const chunk of stream ?? []) chunks.push(chunk);
      return chunks;
    };
    const chunks = await all(sent);
    const [start] = chunks;
    generation = start?.type === "start" ? (start.messageId ?? "") : "";
    expect(await all(await transport.reconnectToStream({ chatId }))).toEqual(chunks);
  });
});

describe("OpenAI's client", () => {
  it("sends a request twice under an Idempotency-Key and gets one answer", async () => {
    const body = { model: "tiny", messages: [{ role: "user" as const, content: "hello" }], max_tokens: 20, ...FIVE };
    const options = { headers: { "Idempotency-Key": crypto.randomUUID() } };
    const client = stack.client();
    const first = await client.chat.completions.create(body, options);
    const { data, response } = await client.chat.completions.create(body, options).withResponse();
    expect([data, response.headers.get("idempotent-replayed")]).toEqual([first, "true"]);
  });
});
