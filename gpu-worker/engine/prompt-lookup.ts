/** A pass over so many more tokens costs half as much again as one over a single token (test/bench/results/speculation-*.json). */
const DRAFT_TOKENS = 4;

/** Share of a draft's tokens that has to be right for the pass to pay: it costs about an eighth of a pass a token. */
const PAYING_ACCEPTANCE = 0.15;

/** How much the latest draft counts in the average. */
const RECENCY = 0.2;

/** Where drafts do not pay, every so many tokens one is tried all the same, for texts change. */
const RETRY_TOKENS = 32;

/**
 * Drafts of what one sequence says next: what followed the last earlier occurrence of its latest tokens, as in summaries, quotations
 * and code (prompt lookup decoding, Saxena 2023). Drafting rests while too few of its tokens turn out right.
 */
export class PromptLookup {
  /** Moving average of the share of a draft that was right. */
  #acceptance = 2 * PAYING_ACCEPTANCE;
  #sinceDraft = 0;

  /** @returns up to {@link DRAFT_TOKENS} tokens that may follow; none where nothing recurs or drafts do not pay. */
  draft(tokens: readonly number[]): number[] {
    this.#sinceDraft += 1;
    if (this.#acceptance < PAYING_ACCEPTANCE && this.#sinceDraft < RETRY_TOKENS) return [];
    const draft = followers(tokens);
    if (draft.length > 0) this.#sinceDraft = 0;
    return draft;
  }

  /** Hears how many tokens of a draft were what the model then said. */
  judge(drafted: number, right: number): void {
    this.#acceptance += RECENCY * (right / drafted - this.#acceptance);
  }
}

/** What followed the latest two tokens the last time. A plain loop: it goes through a whole context for every token. */
function followers(tokens: readonly number[]): number[] {
  const last = tokens.length - 1;
  for (let end = last - 1; end > 0; end--) {
    if (tokens[end] === tokens[last] && tokens[end - 1] === tokens[last - 1]) {
      return tokens.slice(end + 1, end + 1 + DRAFT_TOKENS);
    }
  }
  return [];
}
