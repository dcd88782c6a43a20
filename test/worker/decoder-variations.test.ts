import { describe, expect, it } from "vitest";
import { buildDecoder, type DecoderConfig } from "../../gpu-worker/graph/decoder.ts";
import type { WeightLayout } from "../../gpu-worker/graph/precision.ts";
import { DecoderSession } from "../../gpu-worker/runtime/decoder-session.ts";
import { INT8_LAYOUTS } from "../fixtures/int8-layouts.ts";
import { referenceLogits } from "../fixtures/reference-llama.ts";
import { TINY_CONFIG, tinyDecoder, tinyWeights } from "../fixtures/tiny-llama.ts";

const TOKENS = [5, 100, 42, 7, 250, 99, 3, 180, 64, 11, 200, 17];

const VARIATIONS: [string, Partial<DecoderConfig>][] = [
  ["as many key heads as query heads", { kvHeads: 6 }],
  ["one key head", { kvHeads: 1 }],
  ["heads that do not add up to the width", { heads: 4, headDim: 32 }],
  ["an output head of its own", { tiedEmbeddings: false }],
  ["biases on queries, keys and values", { qkvBias: true }],
  ["a bias on attention's output", { outputBias: true }],
  ["a scale for each rotary frequency", { ropeDivisors: [1, 1, 1.5, 2, 4, 8, 8, 8] }],
  ["widths that are no multiple of a block", { hidden: 80, intermediate: 112, tiedEmbeddings: false }],
  ["all of it", { kvHeads: 6, tiedEmbeddings: false, qkvBias: true, outputBias: true, ropeDivisors: Array(8).fill(4) }],
];

/** Logits after each of two pieces of the tokens, so that keys from the pool take part. */
async function logits(config: DecoderConfig, layout: WeightLayout): Promise<number[][]> {
  const session = new DecoderSession(await tinyDecoder(layout, config), config, 1);
  try {
    const cache = session.allocate(1, TOKENS.length);
    const rows: number[][] = [];
    let computed = 0;
    for (const tokens of [TOKENS.slice(0, 8), TOKENS.slice(8)]) {
      rows.push([...session.run({ cache, firstSlot: 0, tokens: [tokens], computed: [computed] })]);
      computed += tokens.length;
    }
    return rows;
  } finally {
    session.release();
  }
}

function worstDifference(actual: number[][], wanted: number[][]): number {
  return Math.max(...wanted.flatMap((row, at) => row.map((value, id) => Math.abs((actual[at]?.[id] ?? NaN) - value))));
}

describe.each(VARIATIONS)("a decoder with %s", (_, variation) => {
  const config: DecoderConfig = { ...TINY_CONFIG, ...variation };
  const reference = referenceLogits(config, tinyWeights(config), TOKENS);
  const wanted = [reference[7] ?? [], reference.at(-1) ?? []];

  it("computes what a plain implementation of the model computes", async () => {
    expect(worstDifference(await logits(config, "fp32"), wanted)).toBeLessThan(1e-4);
  });

  it.each(INT8_LAYOUTS)("stays close with weights as %s", async (layout) => {
    const spread = Math.max(...wanted.flat()) - Math.min(...wanted.flat());
    expect(worstDifference(await logits(config, layout), wanted)).toBeLessThan(spread * 0.03);
  });
});

it("a decoder without biases has no node for them, and int8 biases need none", () => {
  const nodes = (variation: Partial<DecoderConfig>) =>
    buildDecoder({ ...TINY_CONFIG, ...variation }, async () => new Float32Array(), "int8-blocks").nodes.length;
  expect(nodes({ qkvBias: true, outputBias: true })).toBe(nodes({}));
});
