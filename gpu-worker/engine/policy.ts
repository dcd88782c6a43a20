/** What the policy may know of a running sequence. */
export type Pending = {
  /** Tokens that are not yet in the KV pool. */
  pending: number;
  /** Counts up with every sequence admitted. */
  arrival: number;
  /** Whether it waits for another one that is computing what both need. */
  held: boolean;
};

export type PolicyLimits = {
  /** New tokens a step may compute while somebody is decoding: bounds how long a prompt holds up running streams. */
  mixedTokens: number;
  /** The same while nobody is decoding. */
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
 * of arrival. While somebody waits, at least one prompt token is computed, so nobody starves. Held sequences are left out.
 */
export function planStep(running: readonly Pending[], limits: PolicyLimits): StepPlan {
  const plan: StepPlan = { decode: [], prefill: [] };
  for (const [index, { pending, held }] of running.entries()) {
    if (pending === 1 && !held) plan.decode.push(index);
  }
  const decoding = plan.decode.length;
  let budget = decoding > 0 ? Math.max(1, limits.mixedTokens - decoding) : limits.prefillTokens;
  const waiting = [...running.entries()].filter(([, { pending, held }]) => pending > 1 && !held);
  for (const [index, { pending }] of waiting.sort(([, a], [, b]) => a.arrival - b.arrival)) {
    const tokens = Math.min(pending, budget);
    if (tokens === 0) break;
    plan.prefill.push({ index, tokens });
    budget -= tokens;
  }
  return plan;
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
