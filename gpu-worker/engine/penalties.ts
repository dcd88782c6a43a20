import type { Sampling } from "../../schema/api/chat.ts";

type PenaltyOptions = Pick<Sampling, "frequency_penalty" | "presence_penalty" | "repetition_penalty">;

/**
 * What saying a token again costs: the repetition penalty (Keskar et al. 2019) for those in prompt or answer, then OpenAI's
 * frequency and presence penalties for those in the answer. The same order and arithmetic as vLLM's `apply_all_penalties`.
 */
export class Penalties {
  readonly #options: PenaltyOptions;
  /** Where each seen token is in the lists: they are gone through for every token, many times faster than a map. */
  readonly #places = new Map<number, number>();
  #tokens: Int32Array;
  /** How often each was generated; 0 for one that is only in the prompt. */
  #generated: Int32Array;

  constructor(options: PenaltyOptions, prompt: readonly number[]) {
    this.#options = options;
    // Frequency and presence are of the answer alone.
    const seen = options.repetition_penalty === 1 ? [] : new Set(prompt);
    this.#tokens = Int32Array.from(seen);
    for (const [place, token] of this.#tokens.entries()) this.#places.set(token, place);
    this.#generated = new Int32Array(this.#tokens.length);
  }

  /** Whether a request asks for any. */
  static wanted({ frequency_penalty, presence_penalty, repetition_penalty }: PenaltyOptions): boolean {
    return frequency_penalty !== 0 || presence_penalty !== 0 || repetition_penalty !== 1;
  }

  /** Counts a generated token. */
  push(token: number): void {
    const place = this.#places.get(token) ?? this.#add(token);
    this.#generated[place] = (this.#generated[place] ?? 0) + 1;
  }

  /** @param logits [vocab]; changed in place, only where a token was seen. */
  apply(logits: Float32Array): void {
    const { frequency_penalty: frequency, presence_penalty: presence, repetition_penalty: repetition } = this.#options;
    const tokens = this.#tokens;
    const generated = this.#generated;
    const seen = this.#places.size;
    for (let place = 0; place < seen; place++) {
      const token = tokens[place] ?? 0;
      if (token >= logits.length) continue;
      const logit = logits[token] ?? 0;
      const count = generated[place] ?? 0;
      const repeated = logit > 0 ? logit / repetition : logit * repetition;
      logits[token] = repeated - frequency * count - (count > 0 ? presence : 0);
    }
  }

  #add(token: number): number {
    const place = this.#places.size;
    if (place === this.#tokens.length) {
      this.#tokens = grown(this.#tokens);
      this.#generated = grown(this.#generated);
    }
    this.#tokens[place] = token;
    this.#places.set(token, place);
    return place;
  }
}

function grown(list: Int32Array): Int32Array {
  const longer = new Int32Array(2 * list.length + 16);
  longer.set(list);
  return longer;
}
