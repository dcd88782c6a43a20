import { randomUUID } from "node:crypto";
import { type SamplingDefaults, samplingSchema } from "../../../schema/api/chat.ts";
import { type AttributeLevels, areSameLevels, type SteeringProfile } from "../../../schema/attributes.ts";
import type { EffectiveSteering } from "../../../schema/steering.ts";
import { EngineClient } from "../../engine/client.ts";
import type { GenerationRequest } from "../../engine/generation.ts";
import { type ChatTemplate, renderPrompt } from "../../model/chat-template.ts";
import { openCheckpoint } from "../../model/checkpoint.ts";
import type { Tokenizer } from "../../model/tokenizer.ts";
import { ensureDecoder } from "../../runtime/decoder-files.ts";
import type { SteeredAnswer } from "./steered-answer.ts";

const MEBIBYTE = 1024 * 1024;

/** Sequences of an answer with strength above 1: the steered one, and the one it is steered away from. */
const GUIDED_ROWS = 2;

/** How an answer is steered: as a request's effective steering, of which this is what matters here. */
export type Wish = {
  method: EffectiveSteering["method"];
  levels: AttributeLevels;
  strength: number;
  /** What strength steers away from. */
  against: AttributeLevels;
  seed: number;
};

export type AnswererOptions = {
  /** GGUF file, or directory as transformers saves it. */
  model: string;
  /** Directory of a LoRA, which is merged. */
  adapter?: string | undefined;
  profile: SteeringProfile | null;
  sampling: Partial<SamplingDefaults>;
  maxTokens: number;
  /** Sequences that decode together; an answer with strength above 1 takes two. */
  rows: number;
  /** Physical cores; 0 takes all. */
  threads: number;
};

/** One model, answering as it does when it is served: int8 weights, the adapter merged, continuous batching. */
export class Answerer {
  readonly #options: AnswererOptions;
  readonly #engine: EngineClient;
  readonly #tokenizer: Tokenizer;
  readonly #template: ChatTemplate;

  private constructor(
    options: AnswererOptions,
    engine: EngineClient,
    texts: { tokenizer: Tokenizer; template: ChatTemplate },
  ) {
    this.#options = options;
    this.#engine = engine;
    this.#tokenizer = texts.tokenizer;
    this.#template = texts.template;
  }

  /** @throws Error where the model cannot be loaded, or the adapter does not fit it */
  static async open(options: AnswererOptions): Promise<Answerer> {
    const { model, adapter, rows, threads } = options;
    const checkpoint = await openCheckpoint(model);
    const { config } = checkpoint;
    const texts = {
      tokenizer: await checkpoint.readTokenizer(),
      template: await checkpoint.readTemplate(),
    };
    await checkpoint.close();
    const decoder = await ensureDecoder(model, { adapter });
    const limits = { mixedTokens: 64, prefillTokens: 256 };
    const memory = { kvBytes: 2048 * MEBIBYTE, prefixBytes: 128 * MEBIBYTE };
    const engine = new EngineClient(
      {
        model: decoder,
        config,
        tokens: texts.tokenizer.tokenByteTable(),
        eosIds: [...texts.tokenizer.eosIds],
        threads,
        options: { ...limits, ...memory, rows: Math.max(GUIDED_ROWS, rows) },
      },
      // Who asks waits for answers, so no more than these ever queue.
      { queuedRequests: GUIDED_ROWS * rows, queuedTokens: Number.POSITIVE_INFINITY },
    );
    try {
      await engine.ready;
    } catch (error) {
      await engine.close();
      throw error;
    }
    return new Answerer(options, engine, texts);
  }

  /**
   * Answers a prompt. The same wish gives the same answer, whatever else is being answered.
   *
   * @throws Error where the engine fails; the signal's reason once it is aborted
   */
  async answer(
    text: string,
    wish: Wish,
    signal: AbortSignal,
  ): Promise<Pick<SteeredAnswer, "text" | "finish" | "tokens">> {
    signal.throwIfAborted();
    const request = this.#request(text, wish);
    const { promise, resolve, reject } = Promise.withResolvers<Pick<SteeredAnswer, "text" | "finish" | "tokens">>();
    const cancel = () => this.#engine.cancel(request.id);
    let said = "";
    this.#engine.submit(request, {
      onStarted: () => {},
      onText: (piece) => {
        said += piece;
      },
      onEnd: (ending) => {
        signal.removeEventListener("abort", cancel);
        if (ending.kind === "finished") resolve({ text: said, finish: ending.reason, tokens: ending.completionTokens });
        else if (ending.kind === "cancelled") reject(signal.reason);
        else reject(new Error(`An answer failed: ${ending.reason}. Run the command again: it goes on where it was.`));
      },
    });
    signal.addEventListener("abort", cancel);
    return promise;
  }

  #request(text: string, wish: Wish): GenerationRequest {
    const { maxTokens } = this.#options;
    const { max_tokens: _, ...sampling } = samplingSchema.parse({ ...this.#options.sampling, seed: wish.seed });
    const prompt = this.#prompt(text, wish);
    const request = { id: randomUUID(), prompt, sampling, maxTokens };
    if (wish.strength === 1 || wish.method === "none" || areSameLevels(wish.levels, wish.against)) return request;
    const method = Object.keys(wish.against).length === 0 ? "none" : wish.method;
    const against = this.#prompt(text, { method, levels: wish.against });
    return { ...request, guidance: { prompt: against, strength: wish.strength } };
  }

  #prompt(content: string, { method, levels }: Pick<Wish, "method" | "levels">): number[] {
    const steering = { effective: levels, method, preset: null, clamped: [], not_trained: [], note: null };
    const conversation = { messages: [{ role: "user" as const, content }], steering, profile: this.#options.profile };
    return renderPrompt(this.#tokenizer, this.#template, conversation).ids;
  }

  async close(): Promise<void> {
    await this.#engine.close();
  }
}
