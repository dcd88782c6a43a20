import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { exponential } from "../../../gpu-worker/engine/exponential.ts";
import { seededRandom } from "../../../gpu-worker/engine/random.ts";
import { type SamplerOptions, sampleToken } from "../../../gpu-worker/engine/sampler.ts";

const LOGITS = Float32Array.of(1, 3, 2, 0, -5, 2.5);

function drawMany(logits: Float32Array, options: Partial<SamplerOptions>, count = 4000): Map<number, number> {
  const random = seededRandom(11);
  const counts = new Map<number, number>();
  for (let draw = 0; draw < count; draw++) {
    const token = sampleToken(logits, { temperature: 1, top_k: 0, top_p: 1, min_p: 0, ...options }, random);
    counts.set(token, (counts.get(token) ?? 0) + 1);
  }
  return counts;
}

const tokens = (counts: Map<number, number>) => [...counts.keys()].sort((a, b) => a - b);

describe("sampleToken", () => {
  it("takes the most likely token at temperature 0, the lower id of equals", () => {
    expect(tokens(drawMany(LOGITS, { temperature: 0 }))).toEqual([1]);
    expect(tokens(drawMany(Float32Array.of(2, 7, 7), { temperature: 0 }))).toEqual([1]);
  });

  it("draws each token as often as its probability says", () => {
    for (const temperature of [0.5, 1, 2]) {
      const weights = Array.from(LOGITS, (logit) => Math.exp(logit / temperature));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      const counts = drawMany(LOGITS, { temperature }, 20_000);
      for (const [token, weight] of weights.entries()) {
        expect((counts.get(token) ?? 0) / 20_000).toBeCloseTo(weight / total, 1.7);
      }
    }
  });

  it("keeps exactly the top_k most likely tokens", () => {
    expect(tokens(drawMany(LOGITS, { top_k: 3 }))).toEqual([1, 2, 5]);
    expect(tokens(drawMany(Float32Array.of(1, 1, 1, 1), { top_k: 2 }))).toEqual([0, 1]);
  });

  it("keeps the smallest set of tokens that reaches top_p", () => {
    // Probabilities .4, .3, .2, .1.
    const logits = Float32Array.of(0.4, 0.3, 0.2, 0.1).map(Math.log);
    expect(tokens(drawMany(logits, { top_p: 0.39 }))).toEqual([0]);
    expect(tokens(drawMany(logits, { top_p: 0.65 }))).toEqual([0, 1]);
    expect(tokens(drawMany(logits, { top_p: 0.95 }))).toEqual([0, 1, 2, 3]);
  });

  it("measures top_p within the top_k", () => {
    const logits = Float32Array.of(0.4, 0.3, 0.2, 0.1).map(Math.log);
    expect(tokens(drawMany(logits, { top_k: 2, top_p: 0.55 }))).toEqual([0]);
  });

  it("keeps the tokens at least min_p times as likely as the most likely one", () => {
    const logits = Float32Array.of(0.4, 0.3, 0.2, 0.1).map(Math.log);
    expect(tokens(drawMany(logits, { min_p: 0 }))).toEqual([0, 1, 2, 3]);
    expect(tokens(drawMany(logits, { min_p: 0.49 }))).toEqual([0, 1, 2]);
    expect(tokens(drawMany(logits, { min_p: 0.51 }))).toEqual([0, 1]);
    expect(tokens(drawMany(logits, { min_p: 1 }))).toEqual([0]);
    // Twice the temperature takes the square root of the ratios.
    expect(tokens(drawMany(logits, { min_p: 0.49, temperature: 2 }))).toEqual([0, 1, 2, 3]);
  });

  it("measures top_k and top_p within what min_p has left", () => {
    const logits = Float32Array.of(0.4, 0.3, 0.2, 0.1).map(Math.log);
    expect(tokens(drawMany(logits, { min_p: 0.49, top_k: 4 }))).toEqual([0, 1, 2]);
    // Of .4, .3 and .2, two reach 77 %; of all four it would take three.
    expect(tokens(drawMany(logits, { min_p: 0.49, top_p: 0.77 }))).toEqual([0, 1]);
    expect(tokens(drawMany(logits, { top_p: 0.77 }))).toEqual([0, 1, 2]);
  });

  it("draws only what is possible, however much more top_k and top_p would keep", () => {
    const logits = new Float32Array(400).fill(Number.NEGATIVE_INFINITY);
    logits.set([1, 0, -40], 200);
    for (const options of [{ top_k: 40 }, { top_p: 0.999999 }, {}]) {
      expect(tokens(drawMany(logits, options))).toEqual([200, 201]);
    }
  });

  it("always returns a token of the vocabulary, whatever the logits", () => {
    const logit = fc.oneof(fc.float({ noNaN: true }), fc.constant(Number.NEGATIVE_INFINITY));
    fc.assert(
      fc.property(
        fc.array(logit, { minLength: 1, maxLength: 50 }),
        fc.constantFrom(0, 0.01, 1, 2),
        fc.integer({ min: 0, max: 60 }),
        fc.constantFrom(0.01, 0.5, 1),
        fc.constantFrom(0, 0.05, 1),
        (values, temperature, top_k, top_p, min_p) => {
          const finite = values.some((value) => Number.isFinite(value)) ? values : [0, ...values];
          const logits = Float32Array.from(finite);
          const token = sampleToken(logits, { temperature, top_k, top_p, min_p }, seededRandom(1));
          expect(Number.isInteger(token) && token >= 0 && token < logits.length).toBe(true);
          if (temperature <= 1) expect(logits[token]).not.toBe(Number.NEGATIVE_INFINITY);
        },
      ),
    );
  });
});

describe("exponential", () => {
  it("is Math.exp to ten digits for everything a sampler asks, and 0 where that is 0", () => {
    fc.assert(
      fc.property(fc.double({ min: -700, max: 0, noNaN: true }), (x) => {
        expect(Math.abs(exponential(x) / Math.exp(x) - 1)).toBeLessThan(1e-10);
      }),
    );
    expect(exponential(-Number.MIN_VALUE)).toBe(1);
    expect([0, -746, Number.NEGATIVE_INFINITY, Number.NaN].map(exponential)).toEqual([1, 0, 0, 0]);
  });
});

describe("seededRandom", () => {
  it("repeats itself for one seed and differs between neighbours", () => {
    const draws = (seed: number) => Array.from({ length: 5 }, seededRandom(seed));
    expect(draws(42)).toEqual(draws(42));
    expect(draws(42)).not.toEqual(draws(43));
    expect(draws(-1)).not.toEqual(draws(1));
    expect(draws(Number.MAX_SAFE_INTEGER)).not.toEqual(draws(2 ** 32 - 1));
  });

  it("is spread evenly over [0, 1)", () => {
    const random = seededRandom(5);
    const bins = Array.from({ length: 10 }, () => 0);
    for (let draw = 0; draw < 10_000; draw++) {
      const value = random();
      expect(value >= 0 && value < 1).toBe(true);
      const bin = Math.floor(value * 10);
      bins[bin] = (bins[bin] ?? 0) + 1;
    }
    expect(Math.min(...bins)).toBeGreaterThan(900);
  });
});
