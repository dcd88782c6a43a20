import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { rotaryFrequencies } from "../../../gpu-worker/graph/rotary.ts";
import { linearDivisors, llama3Divisors } from "../../../gpu-worker/model/rope-scaling.ts";

const scaling = z.object({
  rope_theta: z.number(),
  factor: z.number(),
  low_freq_factor: z.number(),
  high_freq_factor: z.number(),
  original_max_position_embeddings: z.number(),
});
const fixture = z.array(z.object({ model: z.string(), headDim: z.int(), scaling, frequencies: z.array(z.number()) }));
const CASES = fixture.parse(
  JSON.parse(readFileSync(new URL("../../fixtures/models/rope-frequencies.json", import.meta.url), "utf8")),
);

describe("rotary frequencies", () => {
  test.each(CASES)("of $model are those that transformers computes", ({ headDim, scaling: stated, frequencies }) => {
    const ropeTheta = stated.rope_theta;
    const ropeDivisors = llama3Divisors(
      {
        factor: stated.factor,
        lowFreqFactor: stated.low_freq_factor,
        highFreqFactor: stated.high_freq_factor,
        originalContext: stated.original_max_position_embeddings,
      },
      headDim,
      ropeTheta,
    );
    const ours = rotaryFrequencies({ headDim, ropeTheta, ropeDivisors });
    expect(ours).toHaveLength(frequencies.length);
    // transformers computes them in float32.
    for (const [pair, frequency] of frequencies.entries()) expect((ours[pair] ?? 0) / frequency).toBeCloseTo(1, 5);
    expect(new Set(ropeDivisors).size).toBeGreaterThan(3);
  });

  test("are divided by one factor where scaling is linear, and left where it is 1", () => {
    expect(linearDivisors(4, 8)).toEqual([4, 4, 4, 4]);
    expect(linearDivisors(1, 8)).toBeNull();
  });
});
