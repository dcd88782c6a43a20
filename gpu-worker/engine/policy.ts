/** What the policy may know of a running sequence. */
export type Pending = {
  /** Tokens that are in the KV pool. */
  computed: number;
  /** Tokens that are not. */
  pending: number;
  /** Counts up with every sequence admitted. */
  arrival: number;
  /** Whether it waits for another one that is computing what both need. */
  held: boolean;
};

export type PolicyLimits = {
  /** New tokens a step may begin on while somebody is decoding: bounds how long a prompt holds up running streams. */
  mixedTokens: number;
  /** The same while nobody is decoding. */
  prefillTokens: number;
};

/**
 * Prompts are read in pieces that end at multiples of this many tokens, whatever else is going on. Where a piece ends changes the
 * order in which attention sums, hence the last bits, hence now and then a token: a prompt must not be answered differently
 * because others were busy. Also bounds how long a cancelled request computes on.
 */
export const PIECE_TOKENS = 64;

export type StepPlan = {
  /** Sequences that decode their next token together, by index. */
  decode: number[];
  /** Prompt pieces, each a run of its own. */
  prefill: { index: number; tokens: number }[];
};

/**
 * Decode first: every sequence with one pending token decodes in this step; what is left of the budget goes to prompts in order
 * of arrival, a piece each. A piece that begins within the budget is computed whole, and one always does, so nobody starves.
 * Held sequences are left out.
 */
export function planStep(running: readonly Pending[], limits: PolicyLimits): StepPlan {
  const plan: StepPlan = { decode: [], prefill: [] };
  const entries = [...running.entries()].filter(([, { held }]) => !held);
  for (const [index, { pending }] of entries) {
    if (pending === 1) plan.decode.push(index);
  }
  const decoding = plan.decode.length;
  let budget = decoding > 0 ? Math.max(1, limits.mixedTokens - decoding) : limits.prefillTokens;
  const prompts = entries.filter(([, { pending }]) => pending > 1);
  for (const [index, { computed, pending }] of prompts.sort(([, a], [, b]) => a.arrival - b.arrival)) {
    if (budget <= 0) break;
    const tokens = Math.min(pending, PIECE_TOKENS - (computed % PIECE_TOKENS));
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
