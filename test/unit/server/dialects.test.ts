import { describe, expect, it } from "vitest";
import type { AnswerHead } from "../../../gpu-worker/server/answer-head.ts";
import type { Measurement } from "../../../gpu-worker/server/choice-measurements.ts";
import { OpenAiStream } from "../../../gpu-worker/server/openai-dialect.ts";
import { ResponsesStream } from "../../../gpu-worker/server/responses-dialect.ts";
import { UiMessageStream } from "../../../gpu-worker/server/ui-message-dialect.ts";
import { samplingSchema } from "../../../schema/api/chat.ts";
import { AttuneError } from "../../../schema/wire/errors.ts";
import { parseFrameId } from "../../../schema/wire/frames.ts";

const HEAD: AnswerHead = {
  generation: "gen_12345678",
  model: "tiny",
  created: 1_700_000_000,
  promptTokens: 7,
  steering: { effective: { verbosity: 1 }, method: "words", preset: null, clamped: [], not_trained: [], note: null },
  fanOut: null,
  serviceTier: null,
};
const MEASURED: Measurement = {
  measured: { verbosity: { value: 2, level: 0, method: "rule", unit: "words" } },
};

const STREAMS = [
  { dialect: "openai", open: () => new OpenAiStream(HEAD, true) },
  { dialect: "responses", open: () => new ResponsesStream(HEAD, { sampling: samplingSchema.parse({}) }) },
  { dialect: "ui-message", open: () => new UiMessageStream(HEAD) },
];

type Event = { id: string | undefined; data: string };

function eventsOf(stream: string): Event[] {
  return stream
    .split("\n\n")
    .slice(0, -1)
    .map((event) => {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(event)?.[1];
      return { id: field("id"), data: field("data") ?? "" };
    });
}
const withoutDone = (stream: string) => eventsOf(stream).filter(({ data }) => data !== "[DONE]");

describe.each(STREAMS)("a stream of the dialect $dialect", ({ open }) => {
  it("numbers its events and says in each how many tokens there were so far", () => {
    const stream = open();
    const text =
      stream.text({ index: 0, text: "Grüß", logprobs: null }, 1) +
      stream.text({ index: 0, text: " dich\n\nid: gen_x:9:9", logprobs: null }, 3) +
      stream.finish(0, "stop", 4) +
      stream.end(4, null);
    const ids = withoutDone(text).map(({ id }) => parseFrameId(id ?? ""));
    expect(ids.map((id) => id?.sequence)).toEqual(ids.map((_, index) => index));
    expect(ids.at(-1)).toMatchObject({ generation: "gen_12345678", completionTokens: 4 });
    expect(text).toContain("dich\\n\\nid");
  });

  it("says what was measured beside the steering, once and after the text", () => {
    const stream = open();
    const before = stream.text({ index: 0, text: "Hi", logprobs: null }, 1) + stream.finish(0, "stop", 2);
    const after = stream.end(2, [MEASURED]);
    expect(before).not.toContain("measured");
    expect(after).toContain(JSON.stringify({ ...HEAD.steering, ...MEASURED }));
  });

  it("that fails before its first word says why, and nothing of it is taken for a whole answer", () => {
    const failed = open().fail(new AttuneError("generation_failed", "The model failed."), 0);
    expect(failed).toContain("The model failed.");
    expect(failed).not.toMatch(/"(completed|finish|stop)"/);
  });
});

describe("a response that fails half-way", () => {
  it("keeps what was written, and what it cost", () => {
    const stream = new ResponsesStream(HEAD, { sampling: samplingSchema.parse({}) });
    stream.text({ index: 0, text: "Half", logprobs: null }, 1);
    const [last] = eventsOf(stream.fail(new AttuneError("worker_unavailable", "Shutting down."), 1));
    expect(JSON.parse(last?.data ?? "")).toMatchObject({
      type: "response.failed",
      response: {
        status: "failed",
        error: { code: "worker_unavailable", message: "Shutting down." },
        output: [{ status: "incomplete", content: [{ text: "Half" }] }],
        usage: { input_tokens: 7, output_tokens: 1, total_tokens: 8 },
      },
    });
  });
});
