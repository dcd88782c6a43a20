import { createHash } from "node:crypto";
import { ATTRIBUTES, type Attribute } from "../../../schema/attributes.ts";
import { type AttributeTextSettings, attributeText } from "../../model/attribute-text.ts";
import type { ChatTemplate } from "../../model/chat-template.ts";
import { countWords } from "../../model/text-statistics.ts";
import type { Tokenizer } from "../../model/tokenizer.ts";
import type { AttributeRow } from "../../runtime/attribute-step.ts";
import { partOf } from "../datasets/split.ts";
import { unitHash } from "../unit-hash.ts";
import type { LabelledAnswer } from "./judged-answers.ts";
import { sourceShares } from "./row-sequence.ts";

/** A labelled answer as tokens. */
export type TrainingRow = AttributeRow & Pick<LabelledAnswer, "id" | "source" | "tree" | "labels"> & { words: number };

/** What is trained on, and what is held out to tell when it is best. */
export type TrainingSet = { attributes: Attribute[]; train: TrainingRow[]; validation: TrainingRow[] };

export type TrainingSetOptions = {
  seed: string;
  /** Attributes that are measured, and never learnt. */
  measured: readonly Attribute[];
  /** Share of the trees that are held out. */
  validation: number;
  /** Most answers of them that are read at each validation; the sources have the shares of training. */
  validationRows: number;
  sourceWeights?: ReadonlyMap<string, number> | undefined;
};

/** The attributes that occur in the labels, in their order. */
const attributesOf = (answers: readonly { labels: LabelledAnswer["labels"] }[]): Attribute[] =>
  ATTRIBUTES.filter((name) => answers.some(({ labels }) => labels[name] !== undefined));

/**
 * Divides answers by tree, and makes tokens of those that are used.
 *
 * @throws Error where there is nothing to learn, or a weight is for a source that the files do not have
 * @throws AttuneError `invalid_request` where the template refuses a conversation
 */
export function trainingSetOf(
  answers: readonly LabelledAnswer[],
  options: TrainingSetOptions,
  tokenise: (answer: LabelledAnswer) => number[],
): TrainingSet {
  const attributes = attributesOf(answers).filter((name) => !options.measured.includes(name));
  const learnt = answers.filter(({ labels }) => attributes.some((name) => labels[name] !== undefined));
  if (learnt.length === 0) throw new Error("No answer of these files has a label to learn.");
  refuseUnknownSources(learnt, options.sourceWeights);
  const parts = [
    { name: "train", weight: 1 - options.validation },
    { name: "validation", weight: options.validation },
  ];
  const isHeldOut = ({ tree }: LabelledAnswer) => partOf(tree, parts, `validation:${options.seed}`) === 1;
  const train = learnt.filter((answer) => !isHeldOut(answer));
  if (train.length === 0) throw new Error("All answers are of trees that are held out: lower --validation.");
  const heldOut = options.validation === 0 ? [] : validationAnswers(learnt.filter(isHeldOut), options);
  const row = (answer: LabelledAnswer): TrainingRow => ({
    id: answer.id,
    source: answer.source,
    tree: answer.tree,
    labels: answer.labels,
    words: countWords(answer.answer),
    tokens: tokenise(answer),
    targets: attributes.map((name) => answer.labels[name] ?? null),
  });
  return { attributes, train: train.map(row), validation: heldOut.map(row) };
}

/** Of each source as many as its share of what is drawn, by a hash of their names. */
function validationAnswers(
  answers: readonly LabelledAnswer[],
  { seed, validationRows, sourceWeights }: TrainingSetOptions,
): LabelledAnswer[] {
  const shares = sourceShares(answers, sourceWeights);
  const place = ({ id }: LabelledAnswer) => unitHash(`validation:${seed}:${id}`);
  return [...shares].flatMap(([source, share]) =>
    answers
      .filter((answer) => answer.source === source)
      .map((answer) => ({ answer, at: place(answer) }))
      .sort((a, b) => a.at - b.at)
      .slice(0, Math.round(share * validationRows))
      .map(({ answer }) => answer),
  );
}

function refuseUnknownSources(
  answers: readonly LabelledAnswer[],
  weights: ReadonlyMap<string, number> | undefined,
): void {
  const sources = new Set(answers.map(({ source }) => source));
  const unknown = [...(weights?.keys() ?? [])].find((source) => !sources.has(source));
  if (unknown === undefined) return;
  throw new Error(`--source-weight names ${unknown}, but the labels are from ${[...sources].join(", ")}.`);
}

/** Makes tokens of answers, the same for equal settings. */
export const tokeniserOf =
  (tokenizer: Tokenizer, template: ChatTemplate, settings: AttributeTextSettings) =>
  (answer: LabelledAnswer): number[] =>
    attributeText(tokenizer, template, answer, settings);

/** Names a training set by all of its content. */
export function setHash({ attributes, train, validation }: TrainingSet): string {
  const hash = createHash("sha256").update(JSON.stringify(attributes));
  for (const rows of [train, validation]) {
    hash.update(`${rows.length}`);
    for (const { id, tokens, targets } of rows) hash.update(JSON.stringify([id, tokens, targets]));
  }
  return hash.digest("hex").slice(0, 16);
}
