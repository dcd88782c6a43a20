import type { Sampling } from "../../schema/api/chat.ts";

type PenaltyOptions = Pick<Sampling, "frequency_penalty" | "presence_penalty" | "repetition_penalty">;

/**
 * What saying a token again costs: the repetition penalty (Keskar et al. 2019) for those in prompt or answer, then OpenAI's
 * frequency and presence penalties for those in the answer. The same order and arithmetic as vLLM's `apply_all_penalties`.
 */
export class Penalties {
  readonly #options: PenaltyOptions;
  /** How often each token was generated; 0 for one that is only in the prompt. */
  readonly #generated = new Map<number, number>();

  constructor(options: PenaltyOptions, prompt: readonly number[]) {
    this.#options = options;
    // Frequency and presence are of the answer alone.
    if (options.repetition_penalty !== 1) for (const token of prompt) this.#generated.set(token, 0);
  }

  /** Whether a request asks for any. */
  static wanted({ frequency_penalty, presence_penalty, repetition_penalty }: PenaltyOptions): boolean {
    return frequency_penalty !== 0 || presence_penalty !== 0 || repetition_penalty !== 1;
  }

  /** Counts a generated token. */
  push(token: number): void {
    this.#generated.set(token, (this.#generated.get(token) ?? 0) + 1);
  }

  /** @param logits [vocab]; changed in place, only where a token was seen. */
  apply(logits: Float32Array): void {
    const { frequency_penalty: frequency, presence_penalty: presence, repetition_penalty: repetition } = this.#options;
    for (const [token, count] of this.#generated) {
      const logit = logits[token];
      if (logit === undefined) continue;
      const repeated = logit > 0 ? logit / repetition : logit * repetition;
      logits[token] = repeated - frequency * count - (count > 0 ? presence : 0);
    }
  }
}
