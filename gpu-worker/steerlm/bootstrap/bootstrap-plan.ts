import { createHash } from "node:crypto";
import type { SteeringProfile } from "../../../schema/attributes.ts";
import { openAttributeModel } from "../../model/attribute-model.ts";
import type { ReadingOptions } from "../apm/answer-reader.ts";
import { readingOptions } from "../apm/scorer-options.ts";
import { type FirstQuestion, FirstQuestions } from "../datasets/first-questions.ts";
import { counted, readAll, tallyText } from "../datasets/reading.ts";
import { readingOf } from "../reading-options.ts";
import type { Identity } from "../training/identity.ts";
import type { Asked } from "./asked-reply.ts";
import { asksOf } from "./asks.ts";
import type { BootstrapFlags } from "./bootstrap-options.ts";
import { Combinations, combinationFor } from "./combinations.ts";
import { fits, readTexts } from "./question-room.ts";
import { type Speaker, speakerOf } from "./speaker.ts";

/** What is asked, how the replies are read, and all that both depend on. */
export type BootstrapPlan = {
  asked: Asked[];
  /** Of the adapter that answers; `null`: the plain model does. */
  profile: SteeringProfile | null;
  reading: ReadingOptions;
  identity: Identity;
};

type Planning = {
  /** Path of the model, which is there. */
  model: string;
  /** Whether an option was given on the command line. */
  command: Parameters<typeof readingOptions>[2];
  signal: AbortSignal;
  say: (text: string) => void;
};

/**
 * Reads what the flags name.
 *
 * @throws Error that says what to change where the models do not belong together, no answer has labels, or no question is left
 */
export async function planBootstrap(
  files: readonly string[],
  flags: BootstrapFlags,
  { model, command, signal, say }: Planning,
): Promise<BootstrapPlan> {
  const speaker = await speakerOf(flags);
  const { profile, known } = speaker;
  const unknown = [...flags.sweep, ...flags.away, ...flags.asAsked].find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new Error(`${speaker.name} cannot be asked for ${unknown}: it knows ${known.join(", ")}.`);
  const texts = await readTexts(model);
  const apm = flags.apm === undefined ? null : await readApm(flags.apm, { model, hash: texts.hash });
  // Replies are measured as the adapter learnt what levels mean.
  const reading = readingOptions({ measured: { ...apm?.measured, ...profile?.measured } }, flags, command);
  const { verbosity: verbosityEdges, complexity: complexityEdges } = reading.scale;
  const readFlags = { ...flags, verbosityEdges, complexityEdges };

  const combinations = new Combinations(known, flags.require);
  const { format: _, holdOut: __, ...annotated } = readFlags;
  const from = flags.from ?? files;
  const labelled = flags.from === undefined ? readFlags : annotated;
  await readAll(await readingOf(from, labelled, signal), (conversation) => combinations.add(conversation));
  const lines = combinations.byLine;
  if (lines.length === 0) throw noCombination(speaker, flags, from);

  const levels = lines.map(([, one]) => one);
  const room = { ...texts, profile, maxPrompt: flags.maxPrompt, maxTokens: flags.maxTokens };
  const asksFor = ({ id }: FirstQuestion) => asksOf(combinationFor(levels, flags.seed, id), flags);
  const questions = new FirstQuestions((question) => fits(question.text, asksFor(question)[0].levels, room));
  const tally = await readAll(await readingOf(files, readFlags, signal), (conversation) => questions.add(conversation));
  const drawn = questions.drawn(flags.limit ?? Number.POSITIVE_INFINITY, `${flags.seed}:order`);
  say(`Read ${tallyText(tally)}.`);
  if (drawn.length === 0) {
    throw new Error(`${files.join(", ")}: no question to ask. Name other files, or raise --max-prompt.`);
  }
  say(`Asking ${counted(drawn.length, "question")} for ${counted(lines.length, "combination")} of levels.`);
  return {
    asked: drawn.map((question) => ({ question, asks: asksFor(question) })),
    profile,
    reading,
    identity: {
      model: texts.hash,
      adapter: speaker.identity,
      apm: apm?.hash ?? null,
      combinations: createHash("sha256")
        .update(lines.map(([line]) => line).join("\n"))
        .digest("hex"),
      "--sweep": flags.sweep.join(","),
      "--strength": flags.strength,
      "--away": flags.away.join(","),
      "--temperature": flags.temperature,
      "--top-k": flags.topK,
      "--top-p": flags.topP,
      "--max-tokens": flags.maxTokens,
      "--seed": flags.seed,
      "--spread": flags.spread,
      "--verbosity-edges": verbosityEdges.join(","),
      "--complexity-edges": complexityEdges.join(","),
    },
  };
}

/** @throws Error where it cannot be read, or belongs to other weights */
async function readApm(path: string, weights: { model: string; hash: string }) {
  const { description, contentHash: hash, close } = await openAttributeModel(path);
  await close();
  const { base, measured } = description;
  if (base.sha256 === weights.hash) return { measured, hash };
  throw new Error(`${path} was trained on other weights than ${weights.model} has: name ${base.name} by --model.`);
}

function noCombination({ name: speaker }: Speaker, { require, from }: BootstrapFlags, files: readonly string[]): Error {
  const required = Object.entries(require).map(([name, level]) => `${name} ${level}`);
  const having = required.length === 0 ? "" : ` with ${required.join(", ")}`;
  const advice =
    required.length > 0 ? "Require less" : from === undefined ? "Name annotated files by --from" : "Annotate them";
  return new Error(
    `${files.join(", ")}: no answer${having} has labels of what ${speaker} can be asked for. ${advice}.`,
  );
}
