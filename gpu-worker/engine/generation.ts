import type { Sampling } from "../../schema/api/chat.ts";
import { type Advance, Answer } from "./answer.ts";
import type { Vocabulary } from "./engine.ts";
import { guide } from "./guidance.ts";
import { PromptLookup } from "./prompt-lookup.ts";
import { type BankedAdapter, Sequence } from "./sequence.ts";

/** A conversation that is ready to be continued: tokens in, tokens out. */
export type GenerationRequest = {
  id: string;
  /** Token ids, at least one. */
  prompt: number[];
  sampling: Omit<Sampling, "max_tokens">;
  /** Longest answer, in tokens. */
  maxTokens: number;
  /** Shared with the grammar that the answer must follow (token-mask.ts). */
  mask?: SharedArrayBuffer;
  /** Tokens of the prompt before its label line, which other label lines have too; left out where there is none. */
  conversationTokens?: number;
  /** Lower gets a row earlier; 0 where nothing is said. */
  priority?: number;
  /** When its answer has to be finished, in the milliseconds of clock.ts. */
  deadline?: number;
  /** What the model is adapted by; nothing where it is left out. */
  adapter?: BankedAdapter;
  /** Classifier-free guidance: away from what the model would say to another prompt, by a factor of 1 or more. */
  guidance?: { prompt: number[]; strength: number };
};

/** How far a running generation has come. */
export type Progress = {
  id: string;
  phase: "prefill" | "decode";
  /** Of its steered prompt and its answer, tokens whose keys and values are held. */
  computedTokens: number;
};

/** One answer in the making: the sequence it continues and, under guidance, the one it is steered away from. */
export class Generation {
  readonly id: string;
  /** The steered prompt first. They are computed together and continued by the same tokens. */
  readonly sequences: readonly Sequence[];
  /** Tokens of each sequence at the end of the longest possible answer. */
  readonly finalLengths: readonly number[];
  readonly priority: number;
  readonly deadline: number;
  readonly #strength: number;
  readonly #answer: Answer;

  constructor(request: GenerationRequest, arrival: number, vocabulary: Vocabulary) {
    const reproducible = isReproducible(request.sampling);
    this.id = request.id;
    // A guess is checked in a pass of several tokens, which has other last bits than passes of one.
    const lookup = () => (reproducible || request.guidance !== undefined ? null : new PromptLookup());
    this.sequences = promptsOf(request).map(
      (prompt) => new Sequence(prompt, arrival, reproducible, request.adapter, lookup()),
    );
    this.finalLengths = finalLengths(request);
    this.priority = request.priority ?? 0;
    this.deadline = request.deadline ?? Number.POSITIVE_INFINITY;
    this.#strength = request.guidance?.strength ?? 1;
    this.#answer = new Answer(request, vocabulary);
  }

  get completionTokens(): number {
    return this.#answer.tokens;
  }

  /** Whether anything of it was looked up or computed. */
  get begun(): boolean {
    return this.sequences.some(({ cached }) => cached !== null);
  }

  get progress(): Progress {
    return {
      id: this.id,
      phase: this.sequences.every(({ cached, prefilling }) => cached !== null && !prefilling) ? "decode" : "prefill",
      computedTokens: this.sequences[0]?.computed ?? 0,
    };
  }

  /** Ends the answer where it is. */
  cut(): Advance {
    return this.#answer.cut();
  }

  /** Draws the next token where all sequences have their logits, and says what it adds to the answer. */
  advance(): Advance | null {
    const [steered, against] = this.sequences;
    if (steered === undefined || steered.logits === null || against?.logits === null) return null;
    const logits = against === undefined ? steered.logits : guide(steered.logits, against.logits, this.#strength);
    const { token, advance } = this.#answer.next(logits);
    for (const sequence of this.sequences) sequence.push(token);
    return advance;
  }
}

/** Whoever gives a seed, or always takes the most likely token, expects the same answer to the same question. */
function isReproducible({ seed, temperature }: GenerationRequest["sampling"]): boolean {
  return seed !== null || temperature === 0;
}

/** The prompts of a request's sequences. */
function promptsOf({ prompt, guidance }: GenerationRequest): number[][] {
  return guidance === undefined ? [prompt] : [prompt, guidance.prompt];
}

/** Tokens of each of a request's sequences at the end of its longest possible answer. */
export function finalLengths(request: GenerationRequest): number[] {
  return promptsOf(request).map((prompt) => prompt.length + request.maxTokens);
}
