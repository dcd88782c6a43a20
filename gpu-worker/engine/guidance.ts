/** Reused: guidance takes a pass over the vocabulary for every token. */
let scratch = new Float32Array(0);

/**
 * Classifier-free guidance (Sanchez et al. 2023): against + strength · (steered − against). Strength 1 is the steered model itself, more
 * amplifies what sets it apart. Mixing logits instead of log-probabilities only shifts them all by the same amount.
 *
 * @param steered [vocab]
 * @param against [vocab]
 * @returns [vocab], valid until the next call.
 */
export function guide(steered: Float32Array, against: Float32Array, strength: number): Float32Array {
  if (scratch.length !== steered.length) scratch = new Float32Array(steered.length);
  for (let token = 0; token < steered.length; token++) {
    const base = against[token] ?? 0;
    scratch[token] = base + strength * ((steered[token] ?? 0) - base);
  }
  return scratch;
}
