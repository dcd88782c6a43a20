import type { DecoderConfig } from "../graph/decoder.ts";
import type { WeightSource } from "../graph/layers.ts";
import type { Adapter, LowRankUpdate } from "./adapter.ts";

/**
 * A model's weights with an adapter merged in: W + scale · B · A wherever the adapter changes something, anything else as it is.
 *
 * @throws Error where the adapter changes something that the model has not, or has in another shape
 */
export function mergedWeights(source: WeightSource, config: DecoderConfig, adapter: Adapter): WeightSource {
  checkAdapterFits(config, adapter);
  return async (name) => {
    const weight = await source(name);
    const update = adapter.updates.get(name.replace(/\.weight$/, ""));
    if (update === undefined) return weight;
    if (weight.length !== update.outputs * update.inputs) {
      throw new Error(`${name} has ${weight.length} values, the adapter's is [${update.outputs}, ${update.inputs}].`);
    }
    const [up, down] = await Promise.all([update.up(), update.down()]);
    addProduct(weight, up, down, update);
    return weight;
  };
}

/** @throws Error where the adapter changes something that the model has not, or has in another shape */
export function checkAdapterFits(config: DecoderConfig, { directory, updates }: Adapter): void {
  for (const [module, update] of updates) checkFits(directory, config, module, update);
}

/** [outputs, inputs] of the matrices that an adapter may change, by their path within a layer. */
function linearShapes({ hidden, heads, kvHeads, headDim, intermediate }: DecoderConfig): Record<string, number[]> {
  return {
    "self_attn.q_proj": [heads * headDim, hidden],
    "self_attn.k_proj": [kvHeads * headDim, hidden],
    "self_attn.v_proj": [kvHeads * headDim, hidden],
    "self_attn.o_proj": [hidden, heads * headDim],
    "mlp.gate_proj": [intermediate, hidden],
    "mlp.up_proj": [intermediate, hidden],
    "mlp.down_proj": [hidden, intermediate],
  };
}

function checkFits(directory: string, config: DecoderConfig, module: string, update: LowRankUpdate): void {
  const [, layer = "", within = ""] = /^model\.layers\.(\d+)\.(.+)$/.exec(module) ?? [];
  const shape = linearShapes(config)[within];
  if (shape === undefined || Number(layer) >= config.layers) {
    const has = `${config.layers} layers of ${Object.keys(linearShapes(config)).join(", ")}`;
    throw new Error(`The adapter ${directory} changes ${module}, which this model has not: it has ${has}.`);
  }
  const [outputs, inputs] = shape;
  if (outputs !== update.outputs || inputs !== update.inputs) {
    throw new Error(
      `The adapter ${directory} was trained on another model: it changes a ${module} of [${update.outputs}, ${update.inputs}], ` +
        `this model's is [${outputs}, ${inputs}].`,
    );
  }
}

/**
 * weight += scale · up · down, in place. A row of the weight stays in the first cache while four rows of `down` at a time are added to
 * it: four multiplications for each load and store (SmolLM2-135M, 210 matrices of rank 32: 3.4 · 10⁹ multiplications).
 */
function addProduct(
  weight: Float32Array,
  up: Float32Array,
  down: Float32Array,
  { rank, inputs, outputs, scale }: LowRankUpdate,
): void {
  const whole = rank - (rank % 4);
  for (let output = 0; output < outputs; output++) {
    const row = weight.subarray(output * inputs, (output + 1) * inputs);
    const factor = (index: number) => scale * (up[output * rank + index] ?? 0);
    const downRow = (index: number) => down.subarray(index * inputs, (index + 1) * inputs);
    for (let r = 0; r < whole; r += 4) {
      const [f0, f1, f2, f3] = [factor(r), factor(r + 1), factor(r + 2), factor(r + 3)];
      const [d0, d1, d2, d3] = [downRow(r), downRow(r + 1), downRow(r + 2), downRow(r + 3)];
      for (let i = 0; i < inputs; i++) {
        row[i] = (row[i] ?? 0) + f0 * (d0[i] ?? 0) + f1 * (d1[i] ?? 0) + f2 * (d2[i] ?? 0) + f3 * (d3[i] ?? 0);
      }
    }
    for (let r = whole; r < rank; r++) {
      const only = factor(r);
      const added = downRow(r);
      for (let i = 0; i < inputs; i++) row[i] = (row[i] ?? 0) + only * (added[i] ?? 0);
    }
  }
}
