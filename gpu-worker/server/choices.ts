import { AttuneError } from "../../schema/wire/errors.ts";
import type { FinishReason } from "../engine/answer.ts";
import type { GenerationRequest } from "../engine/generation.ts";
import type { Ending, InferenceEngine, SequenceListener } from "../engine/inference-engine.ts";
import type { TokenLogprobs } from "../engine/logprobs.ts";
import { agreement } from "../engine/prefix-cache.ts";

/** One of the answers to a request. */
export type Choice = {
  generation: GenerationRequest;
  /** Hears of this choice alone. */
  clock: SequenceListener;
  /** Frees what it holds, once the engine is done with it. */
  release: () => void;
};

/** How all choices together ended: with their reasons, or as the first did that was not finished. */
export type ChoicesEnding =
  | { kind: "finished"; reasons: FinishReason[]; completionTokens: number }
  | Exclude<Ending, { kind: "finished" }>;

/** What is heard of all choices. Tokens are counted over all of them. */
export type ChoicesListener = {
  /** One of them has a row now. */
  onStarted: () => void;
  onText: (index: number, text: string, completionTokens: number, logprobs: TokenLogprobs[]) => void;
  /** One is complete. */
  onFinish: (index: number, reason: FinishReason, completionTokens: number) => void;
  /** None is left. */
  onEnd: (ending: ChoicesEnding) => void;
};

/**
 * The answers to one request, a generation of the engine each: submitted all or none, counted together, and where one is not
 * finished, none is.
 */
export class Choices {
  readonly #engine: InferenceEngine;
  readonly #choices: readonly Choice[];
  readonly #listener: ChoicesListener;
  /** Completion tokens of each. */
  readonly #tokens: number[];
  readonly #reasons: FinishReason[] = [];
  #open: number;
  #withdrawn = false;
  #unfinished: Exclude<Ending, { kind: "finished" }> | null = null;

  constructor(engine: InferenceEngine, choices: readonly Choice[], listener: ChoicesListener) {
    this.#engine = engine;
    this.#choices = choices;
    this.#listener = listener;
    this.#tokens = choices.map(() => 0);
    this.#open = choices.length;
  }

  /**
   * Queues all of them. Where one is refused, the earlier ones are taken back and the listener hears nothing.
   *
   * @throws AttuneError as the engine does, and `invalid_request` for more choices than it takes even with nothing else to do
   */
  submit(): void {
    const idle = this.#engine.running + this.#engine.waiting === 0;
    for (const [index, choice] of this.#choices.entries()) {
      try {
        this.#engine.submit(choice.generation, this.#listenTo(index, choice));
      } catch (error) {
        this.#withdraw(index);
        const isFull = AttuneError.isInstance(error) && error.code === "queue_full";
        throw idle && isFull ? tooMany(this.#choices.length, index) : error;
      }
    }
  }

  /** Ends those that have not ended. */
  cancel(): void {
    for (const { generation } of this.#choices) this.#engine.cancel(generation.id);
  }

  /** Ends those that have not ended, and has the request as a whole fail. */
  fail(reason: string, error: AttuneError): void {
    this.#unfinished ??= { kind: "failed", completionTokens: 0, reason, error };
    this.cancel();
  }

  /** @param submitted so many of them, from the first, are in the engine */
  #withdraw(submitted: number): void {
    this.#withdrawn = true;
    for (const { generation } of this.#choices.slice(0, submitted)) this.#engine.cancel(generation.id);
    for (const { release } of this.#choices.slice(submitted)) release();
  }

  #listenTo(index: number, { clock, release }: Choice): SequenceListener {
    return {
      onStarted: (cachedTokens, at) => {
        if (this.#withdrawn) return;
        clock.onStarted(cachedTokens, at);
        this.#listener.onStarted();
      },
      onText: (text, completionTokens, logprobs) => {
        this.#tokens[index] = completionTokens;
        if (this.#withdrawn) return;
        clock.onText(text, completionTokens, logprobs);
        if (this.#unfinished === null) this.#listener.onText(index, text, this.#total, logprobs);
      },
      onEnd: (ending) => {
        this.#tokens[index] = ending.completionTokens;
        release();
        if (this.#withdrawn) return;
        clock.onEnd(ending);
        this.#end(index, ending);
      },
    };
  }

  #end(index: number, ending: Ending): void {
    this.#open--;
    if (ending.kind === "finished") {
      this.#reasons[index] = ending.reason;
      if (this.#unfinished === null) this.#listener.onFinish(index, ending.reason, this.#total);
    } else if (this.#unfinished === null) {
      this.#unfinished = ending;
      this.cancel();
    }
    if (this.#open > 0) return;
    const completionTokens = this.#total;
    this.#listener.onEnd(
      this.#unfinished === null
        ? { kind: "finished", reasons: this.#reasons, completionTokens }
        : { ...this.#unfinished, completionTokens },
    );
  }

  get #total(): number {
    return this.#tokens.reduce((total, tokens) => total + tokens, 0);
  }
}

function tooMany(wanted: number, possible: number): AttuneError {
  const message = `n: this server can take ${possible} of these answers at once, not ${wanted}. Ask for fewer, or shorten the messages.`;
  return new AttuneError("invalid_request", message, { param: "n" });
}

/** Tokens of all prompts, a beginning that several share counted once: what has to be read before they are answered. */
export function countPromptTokens(prompts: readonly (readonly number[])[]): number {
  return prompts.reduce((total, prompt, index) => {
    const shared = prompts.slice(0, index).map((earlier) => agreement(earlier, prompt));
    return total + prompt.length - Math.max(0, ...shared);
  }, 0);
}
