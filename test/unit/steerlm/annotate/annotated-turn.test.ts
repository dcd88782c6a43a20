import { describe, expect, test } from "vitest";
import { annotatedTurn } from "../../../../gpu-worker/steerlm/annotate/annotated-turn.ts";
import type { Turn } from "../../../../gpu-worker/steerlm/datasets/conversation.ts";

const turn: Turn = { role: "assistant", text: "Yo", labels: { quality: 4, humor: 1 } };
const predicted = { quality: 2.5, toxicity: 0.2 };

describe("an annotated answer", () => {
  test.each([
    ["predicted", { quality: 2.5, toxicity: 0.2, humor: 1 }],
    ["human", { quality: 4, toxicity: 0.2, humor: 1 }],
    ["both-mean", { quality: 3.25, toxicity: 0.2, humor: 1 }],
  ] as const)("is trained on %s labels where it has both, else on those that there are", (choice, labels) => {
    expect(annotatedTurn(turn, predicted, choice)).toEqual({ ...turn, labels, predicted, human: turn.labels });
  });

  test("has no human labels where nobody judged it", () => {
    expect(annotatedTurn({ role: "assistant", text: "Yo" }, predicted, "predicted")).toEqual({
      ...{ role: "assistant", text: "Yo" },
      labels: predicted,
      predicted,
    });
  });

  test("can be annotated again: what people said is what it was", () => {
    const once = annotatedTurn(turn, predicted, "predicted");
    const again = annotatedTurn(once, { quality: 1 }, "both-mean");
    expect(again).toEqual({
      ...turn,
      labels: { quality: 2.5, humor: 1 },
      predicted: { quality: 1 },
      human: turn.labels,
    });
  });
});
