import type { Spread } from "./validation.ts";

/**
 * The label that stands where a prediction stands: as many held-out answers have a lower one as were predicted to have. A small model's
 * predictions lie closer to the mean than labels do; this spreads them out again, and keeps their order.
 *
 * @param spread null where it is not known; the prediction is then kept
 */
export function spreadOut(prediction: number, spread: Spread): number {
  if (spread === null) return prediction;
  const { predicted, labels } = spread;
  const above = predicted.findIndex((value) => value >= prediction);
  if (above === -1) return labels.at(-1) ?? prediction;
  const [low, high] = [labels[above - 1], labels[above] ?? prediction];
  const [from, to] = [predicted[above - 1] ?? prediction, predicted[above] ?? prediction];
  if (low === undefined || to === from) return high;
  return low + ((high - low) * (prediction - from)) / (to - from);
}
