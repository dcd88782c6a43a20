import type { TokenLogprob, TokenLogprobs } from "../engine/logprobs.ts";
import type { Tokenizer } from "../model/tokenizer.ts";

type TokenEntry = { token: string; logprob: number; bytes: number[] | null };

/** An entry of OpenAI's `logprobs.content`. */
export type ContentLogprob = TokenEntry & { top_logprobs: TokenEntry[] };

/** JSON has no −∞; OpenAI and vLLM write this for it. */
const LEAST = -9999;

/** Puts log-probabilities in OpenAI's form: each token with its text, and its bytes where it has any. */
export class OpenAiLogprobs {
  readonly #tokenizer: Pick<Tokenizer, "tokenBytes">;
  readonly #markers: ReadonlyMap<number, string>;

  constructor(tokenizer: Pick<Tokenizer, "tokenBytes" | "markerIds">) {
    this.#tokenizer = tokenizer;
    this.#markers = new Map([...tokenizer.markerIds].map(([text, id]) => [id, text]));
  }

  render(tokens: readonly TokenLogprobs[]): ContentLogprob[] {
    return tokens.map(({ top, ...token }) => ({
      ...this.#entry(token),
      top_logprobs: top.map((alternative) => this.#entry(alternative)),
    }));
  }

  /** A token that ends within a character reads as U+FFFD there, and its bytes are exact; a control token adds no bytes to an answer. */
  #entry({ token, logprob }: TokenLogprob): TokenEntry {
    const bytes = this.#tokenizer.tokenBytes(token);
    return {
      token: this.#markers.get(token) ?? new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes),
      logprob: Math.max(logprob, LEAST),
      bytes: bytes.length === 0 ? null : [...bytes],
    };
  }
}
