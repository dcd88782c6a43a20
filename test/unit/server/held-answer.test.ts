import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AnswerMeasurer, type Predictor } from "../../../gpu-worker/server/answer-measurer.ts";
import type { AnswerWriter } from "../../../gpu-worker/server/answer-writer.ts";
import type { Measurement } from "../../../gpu-worker/server/choice-measurements.ts";
import { holdAnswer } from "../../../gpu-worker/server/held-answer.ts";
import { moderate } from "../../../gpu-worker/server/moderate.ts";
import { LEVELS, type Level } from "../../../schema/attributes.ts";
import { tinyTokenizer } from "../../fixtures/tiny-tokenizer.ts";

const toxicity = (value: number) => {
  const level = LEVELS.findLast((one) => one <= Math.round(value)) ?? 0;
  return { toxicity: { value, level, method: "apm" as const, unit: "level" as const } };
};

/** Notes what it is told to write. */
function notingWriter() {
  const written: unknown[][] = [];
  const note = (...call: unknown[]) => void written.push(call);
  const writer: AnswerWriter = {
    text: ({ index, text }, tokens) => note("text", index, text, tokens),
    finish: (...ending) => note("finish", ...ending),
    end: ({ kind, completionTokens }) => note("end", kind, completionTokens),
  };
  return { writer, written };
}

const verdict = (level: Level, above: 0 | 1 | 2 | 3): Measurement => {
  return { moderation: moderate([toxicity(level)], { mode: "block", above }) };
};

/** Pieces of several choices in the order in which they come; each choice ends behind its last. */
const answers = fc
  .array(fc.record({ level: fc.constantFrom(...LEVELS), pieces: fc.integer({ min: 0, max: 5 }) }), {
    minLength: 1,
    maxLength: 4,
  })
  .chain((choices) => {
    const order = choices.flatMap(({ pieces }, index) => Array.from({ length: pieces + 1 }, () => index));
    return fc.record({
      levels: fc.constant(choices.map(({ level }) => level)),
      order: fc.shuffledSubarray(order, { minLength: order.length }),
      above: fc.constantFrom(0 as const, 1 as const, 2 as const, 3 as const),
    });
  });

describe("an answer that is held back", () => {
  it("is written as it came, but without the text of the flagged choices, and not before all are moderated", () => {
    fc.assert(
      fc.property(answers, ({ levels, order, above }) => {
        const { writer, written } = notingWriter();
        const expected: unknown[][] = [];
        const held = holdAnswer(writer);
        for (const [position, index] of order.entries()) {
          const flagged = (levels[index] ?? 0) > above;
          if (order.lastIndexOf(index) === position) {
            held.finish(index, "stop", position);
            expected.push(["finish", index, flagged ? "content_filter" : "stop", position]);
          } else {
            held.text({ index, text: `piece ${position}`, logprobs: null }, position);
            if (!flagged) expected.push(["text", index, `piece ${position}`, position]);
          }
        }
        expect(written).toEqual([]);
        const ending = { kind: "finished" as const, reasons: levels.map(() => "stop" as const), completionTokens: 9 };
        held.end(
          ending,
          levels.map((level) => verdict(level, above)),
        );
        expect(written).toEqual([...expected, ["end", "finished", 9]]);
      }),
    );
  });

  it.each([
    ["is cancelled", { kind: "cancelled" as const, completionTokens: 3 }, null, "cancelled"],
    ["fails", { kind: "failed" as const, completionTokens: 3, reason: "broken" }, null, "failed"],
    [
      "could not be moderated, in one of its choices",
      { kind: "finished" as const, reasons: ["stop" as const, "stop" as const], completionTokens: 3 },
      [verdict(0, 3), { moderation: null, note: "The model is being loaded." }],
      "failed",
    ],
    [
      "nobody moderated",
      { kind: "finished" as const, reasons: ["stop" as const], completionTokens: 3 },
      null,
      "failed",
    ],
  ])("and %s is never written", (_, ending, measurements, kind) => {
    const { writer, written } = notingWriter();
    const held = holdAnswer(writer);
    held.text({ index: 0, text: "What nobody has read.", logprobs: null }, 2);
    held.finish(0, "stop", 3);
    held.end(ending, measurements);
    expect(written).toEqual([["end", kind, 3]]);
  });
});

describe("a long answer", () => {
  const tokenizer = tinyTokenizer();
  const text = { max_tokens: 64, answer_share: 0.5 };
  const predictor = { predicted: ["toxicity"], measured: {}, text } satisfies Omit<Predictor, "reader">;
  const reader = { read: async () => [], warmUp: () => {}, close: async () => {} };

  it("is moderated in parts, of which none is longer than what is read", () => {
    const measurer = new AnswerMeasurer({ ...predictor, reader });
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("a", "b", " ", "the "), maxLength: 400 }), (answer) => {
        const ids = tokenizer.encodeText(answer.trim());
        const parts = measurer.partsNotRead(tokenizer, answer);
        for (const part of parts) expect(tokenizer.encodeText(part).length).toBeLessThanOrEqual(24);
        expect(parts.join("")).toBe(tokenizer.decode(ids.slice(20)));
      }),
    );
  });

  it("is as toxic as its most toxic part", () => {
    const parts = [toxicity(0.2), toxicity(2.6), toxicity(1)];
    expect(moderate(parts, { mode: "block", above: 2 })).toMatchObject({ score: 2.6, level: 3, flagged: true });
    expect(moderate(parts, { mode: "block", above: 3 })?.flagged).toBe(false);
    expect(moderate([{}], { mode: "block", above: 0 })).toBeNull();
  });
});
