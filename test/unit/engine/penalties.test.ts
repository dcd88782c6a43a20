import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Penalties } from "../../../gpu-worker/engine/penalties.ts";

const NO_PENALTY = { frequency_penalty: 0, presence_penalty: 0, repetition_penalty: 1 };
const LOGITS = [2, -2, 4, -4, 0, 1];

function penalised(options: Partial<typeof NO_PENALTY>, prompt: number[], generated: number[]): number[] {
  const penalties = new Penalties({ ...NO_PENALTY, ...options }, prompt);
  for (const token of generated) penalties.push(token);
  const logits = Float32Array.from(LOGITS);
  penalties.apply(logits);
  return [...logits];
}

describe("penalties", () => {
  it("take the frequency penalty once for each time a token was generated, and nothing for the prompt", () => {
    expect(penalised({ frequency_penalty: 0.5 }, [2, 2], [0, 0, 1])).toEqual([1, -2.5, 4, -4, 0, 1]);
  });

  it("take the presence penalty once, however often a token was generated", () => {
    expect(penalised({ presence_penalty: 0.5 }, [2, 2], [0, 0, 1])).toEqual([1.5, -2.5, 4, -4, 0, 1]);
  });

  it("push the logit of a token in prompt or answer down by the factor of repetition, whatever its sign", () => {
    expect(penalised({ repetition_penalty: 2 }, [0, 1, 0], [2, 3, 3])).toEqual([1, -4, 2, -8, 0, 1]);
    expect(penalised({ repetition_penalty: 0.5 }, [0, 1], [])).toEqual([4, -1, 4, -4, 0, 1]);
  });

  it("apply repetition before frequency and presence", () => {
    const all = { repetition_penalty: 2, frequency_penalty: 0.5, presence_penalty: 0.25 };
    expect(penalised(all, [1], [0, 0])).toEqual([2 / 2 - 1 - 0.25, -4, 4, -4, 0, 1]);
  });

  it("follow an answer of many different tokens, and pass over tokens that the vocabulary does not have", () => {
    const generated = Array.from({ length: 300 }, (_, index) => index);
    expect(penalised({ presence_penalty: 1 }, [], generated)).toEqual([1, -3, 3, -5, -1, 0]);
    expect(penalised({ repetition_penalty: 2 }, [900], [])).toEqual(LOGITS);
  });

  it("are only kept for a request that asks for any", () => {
    expect(Penalties.wanted(NO_PENALTY)).toBe(false);
    for (const asked of [{ frequency_penalty: -1 }, { presence_penalty: 1 }, { repetition_penalty: 1.1 }]) {
      expect(Penalties.wanted({ ...NO_PENALTY, ...asked })).toBe(true);
    }
  });

  it("equal vLLM's formulas over whole vocabularies", () => {
    const token = fc.integer({ min: 0, max: LOGITS.length - 1 });
    const penalty = fc.double({ min: -2, max: 2, noNaN: true });
    fc.assert(
      fc.property(
        fc.array(token),
        fc.array(token),
        penalty,
        penalty,
        fc.double({ min: 0.1, max: 3, noNaN: true }),
        (prompt, generated, frequency_penalty, presence_penalty, repetition_penalty) => {
          const wanted = LOGITS.map((logit, id) => {
            const count = generated.filter((other) => other === id).length;
            const seen = count > 0 || prompt.includes(id);
            const factor = seen ? (logit > 0 ? 1 / repetition_penalty : repetition_penalty) : 1;
            return logit * factor - frequency_penalty * count - (count > 0 ? presence_penalty : 0);
          });
          const actual = penalised({ frequency_penalty, presence_penalty, repetition_penalty }, prompt, generated);
          for (const [id, logit] of wanted.entries()) expect(actual[id]).toBeCloseTo(logit, 4);
        },
      ),
    );
  });
});
