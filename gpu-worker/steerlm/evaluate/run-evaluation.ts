import { join } from "node:path";
import { ATTRIBUTES, type Attribute, type AttributeLevels } from "../../../schema/attributes.ts";
import { openCheckpoint } from "../../model/checkpoint.ts";
import { SMALL_MODEL_SCALE } from "../../model/measured-levels.ts";
import { readTrainedAdapter } from "../../model/trained-adapter.ts";
import { Answerer } from "./answerer.ts";
import type { EvaluateFlags } from "./evaluate-options.ts";
import type { Evaluation, Scorer } from "./evaluation.ts";
import { ANSWERS_FILE, SCORES_FILE } from "./evaluation-directory.ts";
import { generateAnswers } from "./generate.ts";
import { JsonlLog, readJsonl } from "./jsonl-log.ts";
import { questionsOf } from "./plan.ts";
import { readPrompts } from "./prompts.ts";
import { openScorer, scorersOf } from "./scorers.ts";
import { scoreAnswers, scoreSchema } from "./scores.ts";
import { questionKey, type System, steeredAnswerSchema } from "./steered-answer.ts";

export type Saying = {
  /** What is worth knowing. */
  notice: (text: string) => void;
  progress: (noun: string) => (done: number, total: number) => void;
};

/**
 * What the flags ask for.
 *
 * @param model path of the model, which is there
 * @throws Error that says what to change where the adapter was not trained for it
 */
export async function evaluationOf(flags: EvaluateFlags, model: string, signal: AbortSignal): Promise<Evaluation> {
  const { profile, identity } = await readTrainedAdapter(flags.adapter);
  const control = flags.control === undefined ? null : await readTrainedAdapter(flags.control);
  const named = flags.attributes ?? profile.attributes.map(({ name }) => name);
  const attributes = ATTRIBUTES.filter((name) => named.includes(name));
  const combinations = flags.combine ?? farCorners(attributes);
  const asked = [...attributes, ...[...Object.values(flags.hold), ...combinations].flatMap(namesIn)];
  for (const [what, trained] of [[flags.adapter, profile] as const, [flags.control, control?.profile] as const]) {
    const missing = trained && asked.find((name) => !trained.attributes.some((entry) => entry.name === name));
    if (missing === undefined) continue;
    throw new Error(`${what} was not trained on ${missing}: leave it out of --attributes, --hold and --combine.`);
  }
  const { hash, room } = await readModel(model, flags.maxTokens);
  return {
    version: 1,
    answering: {
      model: hash,
      adapter: identity,
      control: control?.identity ?? null,
      temperature: flags.temperature,
      min_p: flags.minP,
      max_tokens: flags.maxTokens,
      seed: flags.seed,
    },
    profile,
    scale: profile.measured ?? SMALL_MODEL_SCALE,
    attributes,
    held: flags.hold,
    strengths: flags.strengths,
    against: flags.against,
    baseline: flags.baseline,
    combinations,
    samples: flags.samples,
    scorers: await scorersOf(flags, hash),
    prompts: await readPrompts(flags.prompts, { limit: flags.limit, parts: flags.part, fits: room }, signal),
  };
}

const namesIn = (levels: AttributeLevels): Attribute[] => ATTRIBUTES.filter((name) => levels[name] !== undefined);

/** What training text hardly ever is: long and simple, short and hard. */
function farCorners(attributes: readonly Attribute[]): AttributeLevels[] {
  if (!attributes.includes("verbosity") || !attributes.includes("complexity")) return [];
  return [
    { complexity: 4, verbosity: 0 },
    { complexity: 0, verbosity: 4 },
  ];
}

/** Tokens of the longest label line, and what the template puts around a prompt. */
const AROUND_PROMPT = 192;

async function readModel(path: string, maxTokens: number) {
  const checkpoint = await openCheckpoint(path);
  try {
    const tokenizer = await checkpoint.readTokenizer();
    const { contextLength } = checkpoint.config;
    return {
      hash: await checkpoint.contentHash(),
      room: (prompt: string) => tokenizer.encodeText(prompt).length + AROUND_PROMPT + maxTokens <= contextLength,
    };
  } finally {
    await checkpoint.close();
  }
}

/** What a run works with. `model`: the path of one that is there. */
export type Running = { flags: EvaluateFlags; model: string; signal: AbortSignal; saying: Saying };

/**
 * Gives every answer of an evaluation that its directory does not hold yet.
 *
 * @throws Error as {@link generateAnswers}
 */
export async function answerAll(evaluation: Evaluation, { flags, model, signal, saying }: Running): Promise<void> {
  const log = await JsonlLog.open(join(flags.out, ANSWERS_FILE), steeredAnswerSchema);
  try {
    await generateAnswers({
      evaluation,
      questions: questionsOf(evaluation),
      log,
      rows: flags.rows,
      open: async (system) => {
        saying.notice(`Loading ${SYSTEM_TEXTS[system]}.`);
        const adapter = { adapter: flags.adapter, control: flags.control, base: undefined, words: undefined }[system];
        const profile = adapter === undefined ? null : (await readTrainedAdapter(adapter)).profile;
        const { temperature, minP, maxTokens, rows, cores: threads } = flags;
        const sampling = { temperature, min_p: minP };
        return Answerer.open({ model, adapter, profile, sampling, maxTokens, rows, threads });
      },
      signal,
      onProgress: saying.progress("answers"),
    });
  } finally {
    await log.close();
  }
}

/**
 * Scores every answer that the directory holds of an evaluation and that is not scored yet.
 *
 * @throws Error as {@link scoreAnswers}
 */
export async function scoreAll(evaluation: Evaluation, { flags, model, signal, saying }: Running): Promise<void> {
  const asked = new Set(questionsOf(evaluation).map(questionKey));
  const answers = await readJsonl(join(flags.out, ANSWERS_FILE), steeredAnswerSchema);
  const log = await JsonlLog.open(join(flags.out, SCORES_FILE), scoreSchema);
  try {
    await scoreAnswers({
      evaluation,
      answers: answers.filter((answer) => asked.has(questionKey(answer))),
      log,
      open: (scorer) => openScorer(scorer, flags, model),
      signal,
      progress: (scorer) => saying.progress(`answers scored by ${SCORER_TEXTS[scorer]}`),
    });
  } finally {
    await log.close();
  }
}

const SCORER_TEXTS: Record<Scorer, string> = {
  apm: "the attribute prediction model",
  judge: "the judging attribute prediction model",
  perplexity: "the plain model",
};

const SYSTEM_TEXTS: Record<System, string> = {
  adapter: "the model with the adapter",
  base: "the plain model, to answer unsteered",
  words: "the plain model, to be instructed in words",
  control: "the model with the control adapter",
};
