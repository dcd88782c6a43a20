import type { DecoderConfig } from "../graph/decoder.ts";

/** @throws Error where the sizes contradict each other, or one is no size at all */
export function checkSizes(config: DecoderConfig, path: string): void {
  const { layers, hidden, heads, kvHeads, headDim, intermediate, vocab, contextLength, ropeDivisors } = config;
  const areSizes = [layers, hidden, heads, kvHeads, headDim, intermediate, vocab, contextLength].every(
    (size) => Number.isSafeInteger(size) && size > 0,
  );
  if (!areSizes || headDim % 2 !== 0 || heads % kvHeads !== 0) {
    throw new Error(
      `${path}: ${heads} heads, ${kvHeads} key/value heads, head size ${headDim} and width ${hidden} do not fit together.`,
    );
  }
  const fits = ropeDivisors?.length === headDim / 2 && ropeDivisors.every((divisor) => divisor > 0);
  if (ropeDivisors !== null && !fits) {
    throw new Error(
      `${path} scales ${ropeDivisors.length} rotary frequencies where heads of size ${headDim} need others.`,
    );
  }
}

/**
 * Which biases the graph has to add, by what the first layer has.
 *
 * @param suffixes how a layer's bias names end, for queries, keys, values and attention's output
 * @throws Error where a model has other biases than these, or a layer lacks them: without them it would be another model
 */
export function attentionBiases(
  tensorNames: readonly string[],
  suffixes: readonly [query: string, key: string, value: string, output: string],
  layers: number,
  path: string,
): Pick<DecoderConfig, "qkvBias" | "outputBias"> {
  const biases = tensorNames.filter((name) => name.endsWith(".bias"));
  const unknown = biases.find((name) => !suffixes.some((suffix) => name.endsWith(suffix)));
  if (unknown !== undefined) throw new Error(`${path} has biases (${unknown}) where only attention's are supported.`);
  const counts = suffixes.map((suffix) => biases.filter((name) => name.endsWith(suffix)).length);
  const [query, ...others] = counts;
  const output = others.pop();
  const isWhole = counts.every((count) => count === 0 || count === layers) && others.every((count) => count === query);
  if (!isWhole)
    throw new Error(`${path} has biases in some of its layers and projections only, which is not supported.`);
  return { qkvBias: query === layers, outputBias: output === layers };
}
