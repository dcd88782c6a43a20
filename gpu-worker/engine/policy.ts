/** What the policy may know of a running sequence. */
export type Pending = {
  /** Tokens that are not in the KV pool. */
  pending: number;
  /** Counts up with every sequence admitted. */
  arrival: number;
  /** Whether it waits for another one that is computing what both need. */
  held: boolean;
};

export type PolicyLimits = {
  /** New tokens of a step while somebody is decoding: bounds how long a prompt holds up running streams. */
  mixedTokens: number;
  /** The same while nobody is decoding; bounds how long a cancelled request computes on. */
  prefillTokens: number;
};

export type StepPlan = {
  /** Sequences that decode their next token together, by index. */
  decode: number[];
  /** Prompt pieces, each a run of its own. */
  prefill: { index: number; tokens: number }[];
};

/**
 * Decode first: every sequence with one pending token decodes in this step; what is left of the budget goes to prompts in order
 * of arrival, a piece each, and to one in any case, so nobody starves. Held sequences are left out.
 */
export function planStep(running: readonly Pending[], limits: PolicyLimits): StepPlan {
  const plan: StepPlan = { decode: [], prefill: [] };
  const entries = [...running.entries()].filter(([, { held }]) => !held);
  for (const [index, { pending }] of entries) {
    if (pending === 1) plan.decode.push(index);
  }
  const decoding = plan.decode.length;
  let budget = decoding > 0 ? limits.mixedTokens - decoding : limits.prefillTokens;
  const prompts = entries.filter(([, { pending }]) => pending > 1);
  for (const [index, { pending }] of prompts.sort(([, a], [, b]) => a.arrival - b.arrival)) {
    if (budget < SHORTEST_PIECE && plan.prefill.length > 0) break;
    const tokens = pieceOf(pending, budget);
    plan.prefill.push({ index, tokens });
    budget -= tokens;
  }
  return plan;
}

/**
 * A prompt's keys and values are to the last bit the same whatever pieces it was read in, but for a piece of a single token, which
 * onnxruntime computes in another order. So no prompt is cut into such a piece.
 */
export const SHORTEST_PIECE = 2;

/** @param pending at least {@link SHORTEST_PIECE}. */
function pieceOf(pending: number, budget: number): number {
  const tokens = Math.min(pending, Math.max(SHORTEST_PIECE, budget));
  if (pending - tokens !== 1) return tokens;
  return tokens > SHORTEST_PIECE ? tokens - 1 : pending;
}

export type AdmissionLimits = {
  /** Sequences that run at once. */
  rows: number;
  /** Bytes the KV pool may take. */
  kvBytes: number;
};

/**
 * Whether one more sequence can run to its very end beside the running ones: all slots have the length that the longest needs.
 *
 * @param lengths final lengths, prompt and answer, of the running sequences and the new one, in tokens.
 * @param bytesFor bytes of a pool of that many slots for that many tokens.
 */
export function fits(
  lengths: readonly number[],
  limits: AdmissionLimits,
  bytesFor: (slots: number, tokens: number) => number,
): boolean {
  return lengths.length <= limits.rows && bytesFor(lengths.length, Math.max(...lengths)) <= limits.kvBytes;
}
