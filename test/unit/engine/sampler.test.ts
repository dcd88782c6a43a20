import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cutoff } from "../../../gpu-worker/engine/cutoff.ts";
import { decay, STEPS_PER_NAT } from "../../../gpu-worker/engine/exponential.ts";
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

/** Distributions of every shape, among them ones with many equals and with tokens that a grammar has taken out. */
const logitsOf = fc
  .record({
    spread: fc.constantFrom(0, 1e-6, 1e-3, 0.3, 3, 30),
    grain: fc.constantFrom(0, 0.25),
    masked: fc.constantFrom(0, 0.3, 0.99),
    size: fc.integer({ min: 1, max: 700 }),
    seed: fc.integer(),
  })
  .map(({ spread, grain, masked, size, seed }) => {
    const random = seededRandom(seed);
    const logit = () => {
      const value = spread * (random() + random() + random() - 1.5);
      return grain > 0 ? Math.round(value / grain) * grain : value;
    };
    return Float32Array.from({ length: size }, (_, id) =>
      id > 0 && random() < masked ? Number.NEGATIVE_INFINITY : logit(),
    );
  });

const optionsOf = fc.record({
  temperature: fc.constantFrom(0.2, 0.7, 1, 2),
  top_k: fc.constantFrom(0, 0, 1, 3, 40, 600),
  top_p: fc.oneof(fc.constant(1), fc.double({ min: 0.001, max: 0.9999, noNaN: true })),
  min_p: fc.constantFrom(0, 0, 0.003, 0.1, 1),
});

/** The distribution by definition: every token's probability, everything sorted, in double precision. */
function reference(logits: Float32Array, { temperature, top_k, top_p, min_p }: SamplerOptions) {
  const peak = Math.max(...logits);
  const weight = (id: number) => Math.exp(((logits[id] ?? 0) - peak) / temperature);
  const mass = (ids: number[]) => ids.reduce((total, id) => total + weight(id), 0);
  let ids = [...logits.keys()].sort((a, b) => (logits[b] ?? 0) - (logits[a] ?? 0) || a - b);
  ids = ids.filter((id) => weight(id) >= min_p);
  if (top_k > 0) ids = ids.slice(0, top_k);
  if (top_p < 1) {
    const wanted = top_p * mass(ids);
    let total = 0;
    const end = ids.findIndex((id) => {
      total += weight(id);
      return total >= wanted;
    });
    if (end >= 0) ids = ids.slice(0, end + 1);
  }
  const total = mass(ids);
  return new Map(ids.map((id) => [id, weight(id) / total]));
}

describe("the distribution of sampleToken", () => {
  it("is the one of the definition, for all parameters and shapes", () => {
    const steps = 2000;
    fc.assert(
      fc.property(logitsOf, optionsOf, (logits, options) => {
        const shares = new Map<number, number>();
        // Even steps instead of random numbers: each token's share is its probability, but for a step at either end.
        for (let step = 0; step < steps; step++) {
          const token = sampleToken(logits, options, () => (step + 0.5) / steps);
          shares.set(token, (shares.get(token) ?? 0) + 1 / steps);
        }
        const expected = reference(logits, options);
        for (const [token, share] of shares)
          expect(Math.abs(share - (expected.get(token) ?? -1))).toBeLessThan(1.01 / steps);
        for (const [token, probability] of expected)
          if (probability > 1.01 / steps) expect(shares.has(token)).toBe(true);
      }),
    );
  });

  it("does not depend on what was drawn before", () => {
    fc.assert(
      fc.property(logitsOf, optionsOf, logitsOf, optionsOf, fc.integer(), (logits, options, others, other, seed) => {
        const first = sampleToken(logits, options, seededRandom(seed));
        sampleToken(others, other, seededRandom(seed));
        expect(sampleToken(logits, options, seededRandom(seed))).toBe(first);
      }),
    );
  });

  it("takes the smallest temperatures for what they are, even between equals", () => {
    const logits = Float32Array.of(3, 1, 3, Number.NEGATIVE_INFINITY);
    for (const temperature of [1e-6, 1e-300, Number.MIN_VALUE]) {
      expect(tokens(drawMany(logits, { temperature }, 100))).toEqual([0, 2]);
    }
  });

  it("gives the same tokens for the same seed on every machine", () => {
    const numbers = seededRandom(9);
    const logits = Float32Array.from({ length: 3000 }, () => 12 * numbers() * numbers());
    const draws = (options: Partial<SamplerOptions>) => {
      const random = seededRandom(4);
      return Array.from({ length: 6 }, () =>
        sampleToken(logits, { temperature: 1, top_k: 0, top_p: 1, min_p: 0, ...options }, random),
      );
    };
    expect(draws({})).toMatchInlineSnapshot(`
      [
        477,
        836,
        2233,
        1581,
        1023,
        2749,
      ]
    `);
    expect(draws({ top_p: 0.9, temperature: 1.3 })).toMatchInlineSnapshot(`
      [
        2205,
        2908,
        1981,
        2943,
        1585,
        2136,
      ]
    `);
    expect(draws({ top_k: 50, min_p: 0.1 })).toMatchInlineSnapshot(`
      [
        2715,
        507,
        1581,
        1665,
        477,
        2205,
      ]
    `);
  });
});

describe("cutoff", () => {
  it("is where sorting by value, then by place, would cut", () => {
    const value = fc.oneof(
      fc.constantFrom(-1, 0, 1),
      fc.float({ noNaN: true, noDefaultInfinity: true }),
      fc.float({ min: 1, max: Math.fround(1.00001), noNaN: true }),
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(value, fc.integer({ min: 1, max: 5 })), { minLength: 1, maxLength: 80 }),
        fc.double({ min: 0.001, max: 1, noNaN: true }),
        (entries, share) => {
          const values = Float32Array.from(entries, ([entry]) => entry);
          const weights = Float64Array.from(entries, ([, weight]) => weight);
          const wanted = Math.max(1, Math.floor(share * weights.reduce((total, weight) => total + weight, 0)));
          const { bar, ties } = cutoff(values, weights, values.length, wanted);
          let room = ties;
          const kept = [...values.keys()].filter((id) => {
            const entry = values[id] ?? 0;
            return entry > bar || (entry === bar && room-- > 0);
          });
          const sorted = [...values.keys()].sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0) || a - b);
          let total = 0;
          const end = sorted.findIndex((id) => {
            total += weights[id] ?? 0;
            return total >= wanted;
          });
          expect(kept).toEqual(sorted.slice(0, end + 1).sort((a, b) => a - b));
        },
      ),
    );
  });
});

describe("decay", () => {
  it("is the exponential to ten digits, 1 at the peak, and 0 far beyond what can be drawn", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 44, noNaN: true }), (nats) => {
        expect(Math.abs(decay(nats * STEPS_PER_NAT) / Math.exp(-nats) - 1)).toBeLessThan(1e-10);
      }),
    );
    expect([0, Number.MIN_VALUE, 2048, Number.POSITIVE_INFINITY, Number.NaN].map(decay)).toEqual([1, 1, 0, 0, 0]);
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
