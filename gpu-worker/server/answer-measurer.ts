import { setImmediate } from "node:timers/promises";
import type { MeasuredAttributes, TextStatistics } from "../../schema/api/attributes.ts";
import {
  ATTRIBUTES,
  type Attribute,
  LEVELS,
  type Level,
  type MeasuredScale,
  type SteeringProfile,
} from "../../schema/attributes.ts";
import type { Scored } from "../../schema/wire/score.ts";
import type { AttributeModelDescription } from "../model/attribute-model.ts";
import type { JudgedAnswer } from "../model/attribute-text.ts";
import { levelBetween, SMALL_MODEL_SCALE } from "../model/measured-levels.ts";
import { colemanLiauGrade, countText, fleschKincaidGrade } from "../model/text-statistics.ts";
import type { Tokenizer } from "../model/tokenizer.ts";
import type { Predictions } from "../runtime/attribute-scorer.ts";
import type { AttributeReader } from "./attribute-reader.ts";

/** An attribute prediction model, and what it took levels of measured attributes to mean in its training. */
export type Predictor = {
  reader: Pick<AttributeReader, "read" | "warmUp" | "close">;
  /** What it predicts. */
  predicted: readonly Attribute[];
  measured: AttributeModelDescription["measured"];
  text: AttributeModelDescription["text"];
};

/** Measures finished answers: verbosity and complexity by rule, whatever else a model predicts by that model. */
export class AnswerMeasurer {
  readonly #predictor: Predictor | null;
  /** Where a profile does not say what measured levels mean. */
  readonly #scale: MeasuredScale;

  /** @param predictor `null`: only what rules count is measured */
  constructor(predictor: Predictor | null) {
    this.#predictor = predictor;
    const { verbosity, complexity } = predictor?.measured ?? {};
    this.#scale = {
      verbosity: verbosity ?? SMALL_MODEL_SCALE.verbosity,
      complexity: complexity ?? SMALL_MODEL_SCALE.complexity,
    };
  }

  get predicts(): boolean {
    return this.#predictor !== null;
  }

  /** Whether it predicts how toxic answers are. */
  get readsToxicity(): boolean {
    return this.#predictor?.predicted.includes("toxicity") === true;
  }

  /** The parts of an answer behind what is read of it at least, each such that all of it is read. */
  partsNotRead(tokenizer: Pick<Tokenizer, "encodeText" | "decode">, answer: string): string[] {
    if (this.#predictor === null) return [];
    const { max_tokens, answer_share } = this.#predictor.text;
    const length = Math.floor((max_tokens - TEMPLATE_TOKENS) * answer_share);
    const ids = tokenizer.encodeText(answer.trim());
    const parts = Math.max(0, Math.ceil(ids.length / length) - 1);
    return Array.from({ length: parts }, (_, index) =>
      tokenizer.decode(ids.slice((index + 1) * length, (index + 2) * length)),
    );
  }

  /** Has the model loaded, if it is not: something will soon be measured. */
  warmUp(): void {
    this.#predictor?.reader.warmUp();
  }

  /**
   * @param profile of the model whose levels are meant; where it does not say what measured levels mean, the attribute prediction model's
   * training does, else what suits small models
   * @param left gives it up
   * @throws AttuneError as `AttributeReader.read`; the signal's reason
   */
  async measure(
    answers: readonly JudgedAnswer[],
    profile: SteeringProfile | null,
    left: AbortSignal,
  ): Promise<Scored[]> {
    const predictions = await this.#predictor?.reader.read(answers, left);
    const scale = profile?.measured ?? this.#scale;
    const scored: Scored[] = [];
    for (const [index, { answer }] of answers.entries()) {
      // Counting a long text takes milliseconds.
      await setImmediate();
      scored.push(measured(answer, scale, predictions?.[index] ?? {}));
    }
    return scored;
  }

  async close(): Promise<void> {
    await this.#predictor?.reader.close();
  }
}

/** More than what the template writes behind an answer, and what tokenising a part by itself may add. */
const TEMPLATE_TOKENS = 24;

/** Predictions are good to two digits at most. */
const DIGITS = 2;

function measured(answer: string, scale: MeasuredScale, predictions: Predictions): Scored {
  const counts = countText(answer);
  const grade = colemanLiauGrade(counts);
  const attributes: MeasuredAttributes = {};
  for (const name of ATTRIBUTES) {
    const prediction = predictions[name];
    if (name === "verbosity") {
      const level = levelBetween(counts.words, scale.verbosity);
      attributes.verbosity = { value: counts.words, level, method: "rule", unit: "words" };
    } else if (name === "complexity") {
      if (grade === undefined) continue;
      const level = levelBetween(grade, scale.complexity);
      attributes.complexity = { value: rounded(grade), level, method: "rule", unit: "grade" };
    } else if (prediction !== undefined) {
      const value = rounded(Math.min(4, Math.max(0, prediction)));
      attributes[name] = { value, level: nearestLevel(value), method: "apm", unit: "level" };
    }
  }
  const flesch = fleschKincaidGrade(counts);
  const statistics: TextStatistics = {
    words: counts.words,
    sentences: counts.sentences,
    coleman_liau: grade === undefined ? null : rounded(grade),
    flesch_kincaid: flesch === undefined ? null : rounded(flesch),
  };
  return { attributes, statistics };
}

const rounded = (value: number): number => Number(value.toFixed(DIGITS));

const nearestLevel = (value: number): Level => LEVELS.find((level) => value < level + 0.5) ?? 4;
