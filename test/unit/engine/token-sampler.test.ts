import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TokenSampler } from "../../../gpu-worker/engine/token-sampler.ts";
import { type Sampling, samplingSchema } from "../../../schema/api/chat.ts";

const LOGITS = Float32Array.of(1, 3, 2, 0, -5, 2.5);
const NONE: ReadonlySet<number> = new Set();

const sampler = (options: Partial<Sampling>, prompt: number[] = []) =>
  new TokenSampler(samplingSchema.parse({ temperature: 0, ...options }), prompt, null);

function drawMany(options: Partial<Sampling>, count: number, banned = NONE, prompt: number[] = []): number[] {
  const tokens = sampler(options, prompt);
  return Array.from({ length: count }, () => tokens.draw(LOGITS, banned).token);
}

describe("a token sampler", () => {
  it("prefers or bans a token by its bias", () => {
    expect(drawMany({ logit_bias: { 4: 100 } }, 2)).toEqual([4, 4]);
    expect(drawMany({ logit_bias: { 1: -100, 5: -100 } }, 1)).toEqual([2]);
  });

  it("never draws a banned token, whatever its bias", () => {
    const drawn = drawMany({ temperature: 1, seed: 1, logit_bias: { 1: 100 } }, 200, new Set([1]));
    expect(new Set(drawn)).not.toContain(1);
  });

  it("moves on to other tokens under a penalty", () => {
    expect(drawMany({}, 3)).toEqual([1, 1, 1]);
    expect(drawMany({ presence_penalty: 1.9 }, 4)).toEqual([1, 5, 2, 1]);
    expect(drawMany({ frequency_penalty: 0.6 }, 3)).toEqual([1, 5, 1]);
    expect(drawMany({ repetition_penalty: 2 }, 2, NONE, [1])).toEqual([5, 2]);
  });

  it("adds the bias before the repetition penalty", () => {
    // (1 + 3) / 2 is less than 3; 1 / 2 + 3 would be more.
    expect(drawMany({ logit_bias: { 0: 3 }, repetition_penalty: 2 }, 1, NONE, [0])).toEqual([1]);
  });

  it("reports log-probabilities of the model's own distribution, whatever the request changes", () => {
    const plain = sampler({ logprobs: 2 }).draw(LOGITS, NONE).logprobs;
    expect(plain?.top.map(({ token }) => token)).toEqual([1, 5]);
    const options: Partial<Sampling> = {
      logprobs: 2,
      temperature: 1.5,
      seed: 3,
      presence_penalty: 1,
      logit_bias: { 4: 100 },
    };
    const changed = sampler(options).draw(LOGITS, new Set([1])).logprobs;
    expect(changed?.top).toEqual(plain?.top);
    expect(changed?.token).toBe(4);
    expect(changed?.logprob).toBeCloseTo((plain?.logprob ?? 0) - 8, 5);
  });

  it("reports nothing where nothing was asked for", () => {
    expect(sampler({}).draw(LOGITS, NONE).logprobs).toBeNull();
  });

  it("only reads the logits, which rows of a batch may share, and is not disturbed by other samplers", () => {
    const options = fc.record({
      temperature: fc.constantFrom(0, 1),
      frequency_penalty: fc.constantFrom(0, 1),
      repetition_penalty: fc.constantFrom(1, 1.5),
      logit_bias: fc.constantFrom({}, { 3: 2, 900: 5 }),
      seed: fc.integer(),
    });
    fc.assert(
      fc.property(options, options, fc.boolean(), (mine, others, ban) => {
        const banned = ban ? new Set([1, 900]) : NONE;
        const logits = LOGITS.slice();
        const [one, other] = [sampler(mine, [2]), sampler(others, [5])];
        const drawn = Array.from({ length: 8 }, () => {
          other.draw(logits, NONE);
          return one.draw(logits, banned).token;
        });
        expect(logits).toEqual(LOGITS);
        expect(drawn).toEqual(drawMany(mine, 8, banned, [2]));
      }),
    );
  });
});
