import type { EffectiveSteering } from "../../../schema/steering.ts";
import type { DecoderConfig } from "../../graph/decoder.ts";
import type { JudgedAnswer } from "../../model/attribute-text.ts";
import { type ChatTemplate, renderPrompt } from "../../model/chat-template.ts";
import { openCheckpoint } from "../../model/checkpoint.ts";
import type { Tokenizer } from "../../model/tokenizer.ts";
import { ensureDecoder } from "../../runtime/decoder-files.ts";
import { DecoderSession } from "../../runtime/decoder-session.ts";
import { mean } from "../statistics/correlation.ts";

/** Tokens whose logits are held at once. */
const PIECE = 128;

const UNSTEERED: EffectiveSteering = {
  effective: {},
  method: "none",
  preset: null,
  clamped: [],
  not_trained: [],
  note: null,
};

/** How likely answers are to the plain model, unsteered. */
export class PerplexityScorer {
  readonly #session: DecoderSession;
  readonly #config: DecoderConfig;
  readonly #tokenizer: Tokenizer;
  readonly #template: ChatTemplate;

  private constructor(session: DecoderSession, config: DecoderConfig, tokenizer: Tokenizer, template: ChatTemplate) {
    this.#session = session;
    this.#config = config;
    this.#tokenizer = tokenizer;
    this.#template = template;
  }

  /** @throws Error where the model cannot be loaded */
  static async load(model: string, cores: number): Promise<PerplexityScorer> {
    const checkpoint = await openCheckpoint(model);
    try {
      const { config } = checkpoint;
      const [tokenizer, template] = [await checkpoint.readTokenizer(), await checkpoint.readTemplate()];
      const session = new DecoderSession(await ensureDecoder(model), config, cores);
      return new PerplexityScorer(session, config, tokenizer, template);
    } finally {
      await checkpoint.close();
    }
  }

  /**
   * Mean negative log-likelihood of an answer's tokens after its conversation, in nats. Blocks the thread.
   *
   * @returns `null` of an empty answer
   * @throws OnnxRuntimeError
   */
  logPerplexity({ messages, answer }: JudgedAnswer): number | null {
    const conversation = { messages: [...messages], steering: UNSTEERED, profile: null };
    const prompt = renderPrompt(this.#tokenizer, this.#template, conversation).ids;
    const tokens = this.#tokenizer.encodeText(answer);
    if (tokens.length === 0) return null;
    return mean(this.#losses([...prompt, ...tokens], prompt.length));
  }

  /** −log p of each token from `from` on. */
  #losses(tokens: readonly number[], from: number): number[] {
    const { vocab } = this.#config;
    const input = tokens.slice(0, -1);
    const cache = this.#session.allocate(1, input.length);
    try {
      const losses: number[] = [];
      for (let start = 0; start < input.length; start += PIECE) {
        const piece = input.slice(start, start + PIECE);
        const predicting = [...piece.keys()].filter((at) => start + at + 1 >= from);
        // The last token's logits come in any case; those of a prompt's pieces are of no use.
        const logitRows = predicting.length === 0 ? [piece.length - 1] : predicting;
        const logits = this.#session.run({ cache, firstSlot: 0, tokens: [piece], computed: [start], logitRows });
        for (const [row, at] of predicting.entries()) {
          losses.push(lossOf(logits.subarray(row * vocab, (row + 1) * vocab), tokens[start + at + 1] ?? 0));
        }
      }
      return losses;
    } finally {
      this.#session.free(cache);
    }
  }

  release(): void {
    this.#session.release();
  }
}

/** −log softmax(logits)[token]. */
function lossOf(logits: Float32Array, token: number): number {
  let peak = Number.NEGATIVE_INFINITY;
  for (const logit of logits) peak = Math.max(peak, logit);
  let total = 0;
  for (const logit of logits) total += Math.exp(logit - peak);
  return Math.log(total) + peak - (logits[token] ?? 0);
}
