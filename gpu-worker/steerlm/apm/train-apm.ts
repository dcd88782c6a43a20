import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import type { Attribute, MeasuredScale } from "../../../schema/attributes.ts";
import { HEAD_BIAS, HEAD_WEIGHT } from "../../graph/training/attribute-step.ts";
import { DEFAULT_ATTRIBUTE_TEXT } from "../../model/attribute-text.ts";
import { openCheckpoint } from "../../model/checkpoint.ts";
import { counted } from "../datasets/reading.ts";
import type { Identity } from "../training/identity.ts";
import { openTraining } from "../training/open-training.ts";
import { trainingProgress } from "../training/progress.ts";
import { RunDirectory } from "../training/run-directory.ts";
import { seededDraws } from "../training/seeded-draws.ts";
import { type TrainingEnd, train } from "../training/train.ts";
import { ADAMW, CLIP, optionsIdentity, scheduleOf, type TrainingFlags } from "../training/training-options.ts";
import { attributeBatches } from "./attribute-batches.ts";
import { descriptionOf } from "./description.ts";
import type { LabelledAnswer } from "./judged-answers.ts";
import { rowSequence, sourceShares } from "./row-sequence.ts";
import { saveAttributeModel } from "./save-attribute-model.ts";
import { StepBatches } from "./step-batches.ts";
import { type AttributeFacts, beyondLength, trainingFacts } from "./training-facts.ts";
import { setHash, type TrainingSet, tokeniserOf, trainingSetOf } from "./training-set.ts";
import { Validator } from "./validator.ts";

/** What decides an attribute prediction model, beside the options of every training. */
export type ApmTrainingFlags = TrainingFlags & {
  maxTokens: number;
  validation: number;
  validationRows: number;
  validateEvery?: number;
  sourceWeight?: ReadonlyMap<string, number>;
  balance: "off" | "sqrt";
};

export type ApmTraining = {
  flags: ApmTrainingFlags;
  /** Path of the base weights. */
  model: string;
  answers: readonly LabelledAnswer[];
  /** What levels of attributes mean that are measured, and so not learnt. */
  measured: Partial<MeasuredScale>;
  signal: AbortSignal;
  say: (text: string) => void;
};

/** Validations of a run of which nobody said how many. */
const VALIDATIONS = 8;

/** Where a training keeps its best model. */
export const apmDirectory = (out: string): string => join(out, "apm");

/**
 * Trains an attribute prediction model in `flags.out`, or goes on with a training that was begun there. The model as it was best, by the
 * error on held-out answers, is in {@link apmDirectory}.
 *
 * @throws Error that says what to do
 */
export async function trainApm({ flags, model, answers, measured, signal, say }: ApmTraining): Promise<TrainingEnd> {
  const schedule = scheduleOf(flags);
  using run = await RunDirectory.open(flags.out, { resume: flags.resume });
  const text = { ...DEFAULT_ATTRIBUTE_TEXT, max_tokens: flags.maxTokens };
  const { tokenise, sha256, contextLength } = await baseOf(model, text);
  if (flags.maxTokens > contextLength) throw new Error(`${model} reads ${contextLength} tokens: lower --max-tokens.`);
  const labelled = trainingSetOf(answers, setOptions(flags, measured), tokenise);
  const facts = trainingFacts(labelled, flags.sourceWeight);
  const set = { ...labelled, train: beyondLength(labelled.train, facts) };
  say(setText(set, facts, flags.sourceWeight));

  const { rank, alpha, seed, cores } = flags;
  const lora = { rank, scale: alpha / rank };
  say(`Loading ${model}.`);
  const { session, config, content } = await openTraining(
    model,
    { kind: "attributes", purpose: "train", attributes: set.attributes.length, lora },
    flags,
  );
  await using opened = new AsyncDisposableStack();
  opened.defer(() => session.release());
  const { parameters } = session;
  // Hidden states of SmolLM2-135M are 1.5 in the mean of their 576 values: what a random head would read is as large as the labels.
  for (const name of [HEAD_WEIGHT, HEAD_BIAS]) parameters.part(name).values.fill(0);
  const identity: Identity = {
    model: content,
    data: setHash(set),
    ...optionsIdentity(flags),
    ...apmIdentity(flags, measured),
  };
  const validator = await Validator.open({
    ...{ model, parameters, config, lora, cores, set, facts, say },
    out: run.path,
    run: createHash("sha256").update(JSON.stringify(identity)).digest("hex").slice(0, 16),
    every: flags.validateEvery ?? Math.ceil(schedule.steps / VALIDATIONS),
    steps: schedule.steps,
    save: async (spreads, step, validation) => {
      const fixed = { text, measured, base: { name: basename(model), sha256 } };
      const description = descriptionOf(fixed, { set, facts, seed }, { spreads, step, validation });
      await saveAttributeModel(apmDirectory(run.path), { parameters, config, rank, alpha, description });
    },
  });
  opened.defer(() => validator.close());
  const batches = stepBatches(set, flags);
  const progress = trainingProgress({ isTerminal: process.stderr.isTTY, write: say, now: () => performance.now() });
  return await train(
    {
      session,
      run,
      identity,
      schedule,
      optimiser: ADAMW,
      clip: CLIP,
      checkpointMinutes: flags.checkpointMinutes,
      signal,
      onStep: async (report) => {
        progress(report);
        await validator.afterStep(report.step);
      },
      onCheckpoint: () => {},
    },
    (step) => attributeBatches(batches.at(step), set, { session, config }),
  );
}

async function baseOf(model: string, text: typeof DEFAULT_ATTRIBUTE_TEXT) {
  const checkpoint = await openCheckpoint(model);
  try {
    const [tokenizer, template] = [await checkpoint.readTokenizer(), await checkpoint.readTemplate()];
    const { contextLength } = checkpoint.config;
    return { tokenise: tokeniserOf(tokenizer, template, text), sha256: await checkpoint.contentHash(), contextLength };
  } finally {
    await checkpoint.close();
  }
}

const setOptions = (flags: ApmTrainingFlags, measured: Partial<MeasuredScale>) => ({
  seed: flags.seed,
  measured: MEASURABLE.filter((name) => measured[name] !== undefined),
  validation: flags.validation,
  validationRows: flags.validationRows,
  sourceWeights: flags.sourceWeight,
});

const MEASURABLE = ["complexity", "verbosity"] as const satisfies Attribute[];

function stepBatches({ train, attributes }: TrainingSet, flags: ApmTrainingFlags): StepBatches {
  const sequence = rowSequence(train, {
    attributes,
    sourceWeights: flags.sourceWeight,
    balance: flags.balance === "sqrt",
    random: seededDraws(`${flags.seed}:rows`),
  });
  const lengthOf = (row: number) => train[row]?.tokens.length ?? 0;
  return new StepBatches(sequence, lengthOf, { step: flags.batchTokens, micro: flags.microTokens });
}

/** The options that the numbers depend on, beside those of every training. */
const apmIdentity = (flags: ApmTrainingFlags, measured: Partial<MeasuredScale>) => ({
  "--max-tokens": flags.maxTokens,
  "--validation": flags.validation,
  "--validation-rows": flags.validationRows,
  "--validate-every": flags.validateEvery ?? null,
  "--source-weight": flags.sourceWeight === undefined ? null : JSON.stringify([...flags.sourceWeight].sort()),
  "--balance": flags.balance,
  "--measure": Object.keys(measured).length === 0 ? null : JSON.stringify(measured),
});

function setText(
  { train, validation }: TrainingSet,
  facts: readonly AttributeFacts[],
  weights: ReadonlyMap<string, number> | undefined,
): string {
  const shares = [...sourceShares(train, weights)].map(([source, share]) => `${source} ${(share * 100).toFixed(0)} %`);
  const means = facts.map(({ name, mean }) => `${name} ${mean.toFixed(2)}`);
  const tokens = train.reduce((sum, row) => sum + row.tokens.length, 0) / train.length;
  return [
    `Training on ${counted(train.length, "answer")} of ${tokens.toFixed(0)} tokens (${shares.join(", ")}); ` +
      `${counted(validation.length, "answer")} held out.`,
    `Means of the labels: ${means.join(", ")}.`,
  ].join("\n");
}
