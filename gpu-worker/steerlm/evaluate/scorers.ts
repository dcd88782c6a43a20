import { setImmediate } from "node:timers/promises";
import { ATTRIBUTES } from "../../../schema/attributes.ts";
import { openAttributeModel } from "../../model/attribute-model.ts";
import { AttributeScorer, type Predictions } from "../../runtime/attribute-scorer.ts";
import type { EvaluateFlags } from "./evaluate-options.ts";
import type { Evaluation, Scorer } from "./evaluation.ts";
import type { Measures, Reader } from "./measures.ts";
import { PerplexityScorer } from "./perplexity-scorer.ts";
import type { AnswerScorer } from "./scores.ts";

/** The scorers that the flags name, by their content. @throws Error where a directory holds no attribute prediction model */
export async function scorersOf(
  { apm, judge, perplexity }: EvaluateFlags,
  modelHash: string,
): Promise<Evaluation["scorers"]> {
  return {
    ...(apm !== undefined && { apm: await identityOf(apm) }),
    ...(judge !== undefined && { judge: await identityOf(judge) }),
    ...(perplexity && { perplexity: modelHash }),
  };
}

async function identityOf(directory: string): Promise<string> {
  const model = await openAttributeModel(directory);
  await model.close();
  return model.contentHash;
}

/** @throws Error where its model cannot be loaded */
export async function openScorer(scorer: Scorer, flags: EvaluateFlags, model: string): Promise<AnswerScorer> {
  if (scorer === "perplexity") return openPerplexity(model, flags.cores);
  const directory = flags[scorer];
  if (directory === undefined) throw new Error(`Name the ${scorer}'s directory with --${scorer}.`);
  const reader = await AttributeScorer.load({ model, apm: directory, cores: flags.cores });
  return {
    score: async (answers, signal) =>
      (await reader.score(answers, { signal })).map((predictions) => named(scorer, predictions)),
    release: () => reader.release(),
  };
}

function named(reader: Reader, predictions: Predictions): Measures {
  const measures: Measures = {};
  for (const attribute of ATTRIBUTES) {
    const value = predictions[attribute];
    if (value !== undefined) measures[`${reader}.${attribute}`] = value;
  }
  return measures;
}

async function openPerplexity(model: string, cores: number): Promise<AnswerScorer> {
  const scorer = await PerplexityScorer.load(model, cores);
  return {
    async score(answers, signal) {
      const measures: Measures[] = [];
      for (const answer of answers) {
        // A pass blocks the thread: between two of them a signal gets through.
        await setImmediate();
        signal.throwIfAborted();
        const value = scorer.logPerplexity(answer);
        measures.push(value === null ? {} : { log_perplexity: value });
      }
      return measures;
    },
    release: () => scorer.release(),
  };
}
