import { setImmediate } from "node:timers/promises";
import type { Attribute } from "../../schema/attributes.ts";
import type { DecoderConfig } from "../graph/decoder.ts";
import { HEAD_BIAS, HEAD_WEIGHT } from "../graph/training/attribute-step.ts";
import { loraModules } from "../graph/training/lora.ts";
import { type AttributeModel, type AttributeModelDescription, openAttributeModel } from "../model/attribute-model.ts";
import { attributeText, type JudgedAnswer } from "../model/attribute-text.ts";
import { cacheDirectory } from "../model/cache.ts";
import type { ChatTemplate } from "../model/chat-template.ts";
import { openCheckpoint } from "../model/checkpoint.ts";
import { predictByLength } from "../model/length-line.ts";
import { countWords } from "../model/text-statistics.ts";
import type { Tokenizer } from "../model/tokenizer.ts";
import { runAttributeStep } from "./attribute-step.ts";
import { ParameterSet } from "./parameter-set.ts";
import { ensureTrainingGraph } from "./training-files.ts";
import { TrainingSession } from "./training-session.ts";

/** What was read off an answer, for each attribute that the model predicts; not clamped to 0–4. */
export type Predictions = Partial<Record<Attribute, number>>;

type ScoreOptions = {
  /** Ends the scoring. */
  signal?: AbortSignal | undefined;
  onProgress?: ((done: number) => void) | undefined;
};

/** Tokens with their padding that are read at once. */
const BATCH_TOKENS = 1536;

/** Texts that are tokenised before the event loop turns. */
const TOKENISED_AT_ONCE = 32;

/**
 * Reads attributes off texts, the longest first and together with others of like length. What a text gets does not depend on those beside
 * it, up to rounding (10⁻⁴). Between batches the event loop turns; a batch blocks the thread.
 *
 * @param session an evaluating step over attributes
 * @returns predictions [texts, attributes] in the order of `texts`.
 * @throws OnnxRuntimeError, or the signal's reason
 */
export async function predictAttributes(
  session: TrainingSession,
  config: DecoderConfig,
  attributes: number,
  texts: readonly (readonly number[])[],
  { signal, onProgress }: ScoreOptions = {},
): Promise<number[][]> {
  const targets = Array.from({ length: attributes }, () => null);
  const predictions: number[][] = texts.map(() => []);
  let done = 0;
  for (const batch of batchesOf(texts)) {
    await setImmediate();
    signal?.throwIfAborted();
    const rows = batch.map((index) => ({ tokens: texts[index] ?? [], targets }));
    const read = runAttributeStep(session, config, rows).predictions;
    for (const [place, index] of batch.entries()) predictions[index] = read[place] ?? [];
    done += batch.length;
    onProgress?.(done);
  }
  return predictions;
}

/** Indexes of texts by length, in batches of at most so many padded tokens. */
function batchesOf(texts: readonly (readonly number[])[]): number[][] {
  const lengthOf = (index: number) => texts[index]?.length ?? 0;
  const batches: number[][] = [];
  for (const index of [...texts.keys()].sort((a, b) => lengthOf(b) - lengthOf(a))) {
    const batch = batches.at(-1);
    const longest = lengthOf(batch?.[0] ?? index);
    if (batch !== undefined && longest * (batch.length + 1) <= BATCH_TOKENS) batch.push(index);
    else batches.push([index]);
  }
  return batches;
}

export type ScorerOptions = {
  /** The base weights: a GGUF file, or a directory as transformers saves it. */
  model: string;
  /** Directory of the attribute prediction model. */
  apm: string;
  /** Physical cores; 0 takes all. */
  cores?: number;
  cache?: string;
};

/** An attribute prediction model (APM), ready to read attributes off answers. */
export class AttributeScorer {
  readonly description: AttributeModelDescription;
  /** SHA-256 of all that its predictions depend on beside the base weights. */
  readonly contentHash: string;
  readonly #session: TrainingSession;
  readonly #config: DecoderConfig;
  readonly #tokenizer: Tokenizer;
  readonly #template: ChatTemplate;

  private constructor(
    { description, contentHash }: AttributeModel,
    reader: { session: TrainingSession; config: DecoderConfig; tokenizer: Tokenizer; template: ChatTemplate },
  ) {
    this.description = description;
    this.contentHash = contentHash;
    this.#session = reader.session;
    this.#config = reader.config;
    this.#tokenizer = reader.tokenizer;
    this.#template = reader.template;
  }

  /** @throws Error where either cannot be read, or the APM was trained on other weights */
  static async load({ model, apm, cores = 0, cache = cacheDirectory() }: ScorerOptions): Promise<AttributeScorer> {
    await using opened = new AsyncDisposableStack();
    const attributes = await openAttributeModel(apm);
    opened.defer(attributes.close);
    const checkpoint = await openCheckpoint(model);
    opened.defer(checkpoint.close);
    const { base } = attributes.description;
    if ((await checkpoint.contentHash()) !== base.sha256) {
      throw new Error(
        `${apm} was trained on other weights than ${model} has: name the model, ${base.name}, by --model.`,
      );
    }
    const { rank, scale, description } = attributes;
    const count = description.attributes.length;
    const graph = await ensureTrainingGraph(
      model,
      { kind: "attributes", purpose: "evaluate", attributes: count, lora: { rank, scale } },
      cache,
    );
    const parameters = new ParameterSet(graph.parameters);
    await fill(parameters, attributes, graph.config);
    const tokenizer = await checkpoint.readTokenizer();
    const template = await checkpoint.readTemplate();
    const session = new TrainingSession(graph.path, parameters, "evaluate", cores);
    return new AttributeScorer(attributes, { session, config: graph.config, tokenizer, template });
  }

  /**
   * @throws AttuneError `invalid_request` where the model's template refuses a conversation
   * @throws OnnxRuntimeError, or the signal's reason
   */
  async score(answers: readonly JudgedAnswer[], options: ScoreOptions = {}): Promise<Predictions[]> {
    const { attributes, text } = this.description;
    const texts: number[][] = [];
    for (const [index, answer] of answers.entries()) {
      if (index % TOKENISED_AT_ONCE === 0) await setImmediate();
      options.signal?.throwIfAborted();
      texts.push(attributeText(this.#tokenizer, this.#template, answer, text));
    }
    const rows = await predictAttributes(this.#session, this.#config, attributes.length, texts, options);
    return answers.map(({ answer }, index) => {
      const words = countWords(answer);
      const predictions: Predictions = {};
      for (const [column, { name, by_length }] of attributes.entries()) {
        predictions[name] = predictByLength(by_length, words) + (rows[index]?.[column] ?? 0);
      }
      return predictions;
    });
  }

  release(): void {
    this.#session.release();
  }
}

/** Puts an APM's matrices where the graph reads them; what it does not adapt stays at zero. */
async function fill(parameters: ParameterSet, { rank, updates, head }: AttributeModel, config: DecoderConfig) {
  const modules = loraModules(config, rank);
  const known = new Set(modules.map(({ module }) => module));
  const stranger = [...updates.keys()].find((module) => !known.has(module));
  if (stranger !== undefined)
    throw new Error(`The model has no ${stranger}, which the attribute prediction model adapts.`);
  for (const { module, down, up } of modules) {
    const update = updates.get(module);
    if (update === undefined) continue;
    const { values, shape } = parameters.part(down.name);
    const inputs = shape[1] ?? 0;
    place(values.subarray(down.from * inputs, down.to * inputs), await update.down(), module);
    place(parameters.part(up).values, await update.up(), module);
  }
  place(parameters.part(HEAD_WEIGHT).values, head.weight, "the head");
  place(parameters.part(HEAD_BIAS).values, head.bias, "the head");
}

function place(target: Float32Array, values: Float32Array, what: string): void {
  if (target.length !== values.length) {
    throw new Error(
      `The attribute prediction model does not fit the model: ${what} has ${values.length} numbers, not ${target.length}.`,
    );
  }
  target.set(values);
}
