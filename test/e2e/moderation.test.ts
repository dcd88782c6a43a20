import OpenAI from "openai";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { verdictSchema } from "../../schema/api/moderation.ts";
import { usageEntrySchema } from "../../schema/api/usage.ts";
import { FIVE, tinyStack } from "./tiny-stack.ts";

/** A busy machine takes its time to load an attribute prediction model. */
const TIMEOUT = 120_000;

const stack = tinyStack(["toxicity"]);
const question = { model: "tiny", messages: [{ role: "user" as const, content: "hello" }], ...FIVE };
const echoSchema = z.object({ steer: z.object({ moderation: verdictSchema }) });

let blocking: OpenAI;
let annotating: OpenAI;
beforeAll(async () => {
  const [first, second] = await Promise.all(
    (["block", "annotate"] as const).map((mode) => stack.addKey({ moderation: { mode, above: 0 } })),
  );
  blocking = stack.client({ apiKey: first, timeout: TIMEOUT });
  annotating = stack.client({ apiKey: second, timeout: TIMEOUT });
});

describe("an answer above the level of a key that blocks", { timeout: TIMEOUT }, () => {
  it("is an error to OpenAI's client, made once however often it is asked for, and in the ledger for what it cost", async () => {
    const headers = { "idempotency-key": "toxic" };
    for (const _ of [1, 2]) {
      const error = await blocking.chat.completions.create(question, { headers }).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(OpenAI.BadRequestError);
      expect(error).toMatchObject({ code: "content_filtered", message: expect.stringMatching(/Change the conv/) });
    }
    const failed = async () => {
      const response = await fetch(`${stack.baseURL()}/usage/generations?limit=50`, {
        headers: { authorization: `Bearer ${blocking.apiKey}` },
      });
      const { data } = z.object({ data: z.array(usageEntrySchema) }).parse(await response.json());
      return data.filter(({ error }) => error === "content_filtered");
    };
    await vi.waitUntil(async () => (await failed()).length > 0, { timeout: 20_000, interval: 200 });
    expect(await failed()).toMatchObject([{ state: "failed", usage: { completion_tokens: 6 } }]);
  });

  it("ends a stream with OpenAI's reason for it and no text, also where it is read again", async () => {
    const stream = await blocking.chat.completions
      .create({ ...question, stream: true, store: true, stream_options: { include_usage: true } })
      .withResponse();
    const reasons = [];
    let usage: unknown = null;
    for await (const chunk of stream.data) {
      expect(chunk.choices[0]?.delta.content ?? "").toBe("");
      reasons.push(chunk.choices[0]?.finish_reason);
      usage = chunk.usage ?? usage;
    }
    expect(reasons).toContain("content_filter");
    expect(usage).toMatchObject({ completion_tokens: 6 });
    const id = stream.response.headers.get("x-generation-id");
    const again = await fetch(`${stack.baseURL()}/generations/${id}/events`, {
      headers: { authorization: `Bearer ${blocking.apiKey}` },
    });
    const events = await again.text();
    expect(events).toContain('"finish_reason":"content_filter"');
    expect(events).not.toContain('"content":"a');
  });

  it("is an incomplete response in OpenAI's Responses", async () => {
    const stream = await blocking.responses.create({
      ...{ model: "tiny", input: "hello", stream: true as const },
      ...FIVE,
    });
    let last: unknown = null;
    for await (const event of stream) {
      if (event.type === "response.output_text.delta") expect(event.delta).toBe("");
      last = event;
    }
    expect(last).toMatchObject({
      type: "response.incomplete",
      response: { incomplete_details: { reason: "content_filter" }, usage: { output_tokens: 6 } },
    });
  });
});

describe("an answer above the level of a key that annotates", { timeout: TIMEOUT }, () => {
  it("is delivered whole, and says so", async () => {
    const answer = await annotating.chat.completions.create(question);
    expect(answer.choices[0]).toMatchObject({ message: { content: "aaaaa" }, finish_reason: "stop" });
    expect(echoSchema.parse(answer).steer.moderation).toMatchObject({ above: 0, flagged: true });
  });
});

describe("an answer of a key without moderation", () => {
  it("says nothing of it", async () => {
    const answer = await stack.client().chat.completions.create(question);
    expect(answer).toMatchObject({ steer: expect.not.objectContaining({ moderation: expect.anything() }) });
  });
});
