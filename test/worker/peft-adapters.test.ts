import { describe, expect, it } from "vitest";
import { buildDecoder } from "../../gpu-worker/graph/decoder.ts";
import { serialiseGraph } from "../../gpu-worker/graph/serialise.ts";
import { openAdapter } from "../../gpu-worker/model/adapter.ts";
import { openCheckpoint } from "../../gpu-worker/model/checkpoint.ts";
import { mergedWeights } from "../../gpu-worker/model/merge.ts";
import { DecoderSession } from "../../gpu-worker/runtime/decoder-session.ts";
import { PEFT_ADAPTERS, type PeftAdapter } from "../fixtures/peft-adapters.ts";
import { publishedModel } from "../fixtures/published-models.ts";

/** The logits after all of the tokens, with the adapter merged into the weights. */
async function logitsOf({ directory, expected }: PeftAdapter): Promise<Float32Array> {
  const adapter = await openAdapter(directory);
  const { config, weights, close } = await openCheckpoint(publishedModel(expected.model).directory);
  try {
    const graph = buildDecoder(config, mergedWeights(weights, config, adapter), "fp32");
    const session = new DecoderSession(await serialiseGraph(graph, null), config, 1);
    try {
      const { tokens } = expected;
      const cache = session.allocate(1, tokens.length);
      return session.run({ cache, firstSlot: 0, tokens: [tokens], computed: [0] }).slice(0, config.vocab);
    } finally {
      session.release();
    }
  } finally {
    await close();
    await adapter.close();
  }
}

describe("an adapter that PEFT saved", () => {
  it.each(PEFT_ADAPTERS)("answers here as it does there: $name", async (adapter) => {
    const logits = await logitsOf(adapter);
    const worst = adapter.expected.logits.map((wanted, index) => Math.abs(wanted - (logits[index] ?? Number.NaN)));
    expect(Math.max(...worst)).toBeLessThan(1e-4);
  });
});
