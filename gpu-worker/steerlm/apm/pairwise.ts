import type { Attribute } from "../../../schema/attributes.ts";
import type { Random } from "../../engine/random.ts";
import type { JudgedAnswer } from "../../model/attribute-text.ts";
import type { Predictions } from "../../runtime/attribute-scorer.ts";
import { type Conversation, treeKey } from "../datasets/conversation.ts";
import { bootstrapInterval } from "../statistics/bootstrap.ts";
import { mean } from "../statistics/correlation.ts";
import type { Estimate } from "./agreement.ts";
import { judgedAnswer } from "./judged-answers.ts";

type Side = JudgedAnswer & { id: string };

/** Two answers to the same question that people compared; null where they found neither better. */
export type AnswerPair = { tree: string; sides: [Side, Side]; preferred: 0 | 1 | null };

type Scale = {
  name: "helpful" | "harmless";
  weights: readonly (readonly [Attribute, number])[];
};

/** One number of several attributes, by which one answer is better than another. */
const SCALES: readonly Scale[] = [
  {
    name: "helpful",
    weights: [
      ["quality", 1],
      ["helpfulness", 1],
    ],
  },
  { name: "harmless", weights: [["toxicity", -1]] },
];

/** How often the answer that people preferred is the better one; half where both are as good. */
export type PairAccuracy = {
  file: string;
  scale: Scale["name"] | "length";
  /** Compared, and one of them preferred. */
  pairs: number;
  /** Neither preferred: they say nothing of accuracy. */
  undecided: number;
  /** With its 95 % interval, by question. */
  accuracy: Estimate;
};

/** Collects pairs from conversations, whose sides may come in any order. */
export class AnswerPairs {
  readonly #waiting = new Map<string, Conversation>();
  readonly pairs: AnswerPair[] = [];

  add(conversation: Conversation): void {
    const { pair, source } = conversation;
    if (pair === undefined) return;
    const key = `${source} ${pair}`;
    const first = this.#waiting.get(key);
    if (first === undefined) {
      this.#waiting.set(key, conversation);
      return;
    }
    this.#waiting.delete(key);
    const ranks = [first, conversation].map(({ turns }) => turns.at(-1)?.rank ?? 0);
    const [a = 0, b = 0] = ranks;
    const preferred = a === b ? null : a < b ? 0 : 1;
    this.pairs.push({ tree: treeKey(first), sides: [sideOf(first), sideOf(conversation)], preferred });
  }
}

const sideOf = (conversation: Conversation): Side => ({
  id: `${conversation.source} ${conversation.id}`,
  ...judgedAnswer(conversation, conversation.turns.length - 1),
});

/** A pair with what was read off both answers, and their words. */
export type ScoredPair = Pick<AnswerPair, "tree" | "preferred"> & {
  predicted: [Predictions, Predictions];
  words: [number, number];
};

/** By each scale that the model predicts, and by length alone. */
export function pairAccuracies(
  file: string,
  pairs: readonly ScoredPair[],
  attributes: readonly Attribute[],
  random: (name: string) => Random,
): PairAccuracy[] {
  const decided = pairs.filter(({ preferred }) => preferred !== null);
  const scales = SCALES.filter(({ weights }) => weights.every(([attribute]) => attributes.includes(attribute)));
  const accuracyBy = (scale: PairAccuracy["scale"], better: (pair: ScoredPair) => [number, number]): PairAccuracy => {
    const rights = (pair: ScoredPair) => rightness(better(pair), pair.preferred);
    const questions = [...Map.groupBy(decided, ({ tree }) => tree).values()].map((own) => own.map(rights));
    const statistic = (sample: readonly number[]) => (sample.length === 0 ? null : mean(sample));
    return {
      ...{ file, scale, pairs: decided.length, undecided: pairs.length - decided.length },
      accuracy: {
        value: statistic(questions.flat()),
        interval: bootstrapInterval(questions, statistic, { random: random(`${file} pairs`) }),
      },
    };
  };
  return [
    ...scales.map((scale) =>
      accuracyBy(scale.name, ({ predicted: [first, second] }) => [scaled(scale, first), scaled(scale, second)]),
    ),
    accuracyBy("length", ({ words }) => words),
  ];
}

const scaled = ({ weights }: Scale, predictions: Predictions): number =>
  weights.reduce((sum, [attribute, weight]) => sum + weight * (predictions[attribute] ?? 0), 0);

function rightness([first, second]: [number, number], preferred: 0 | 1 | null): number {
  if (first === second) return 0.5;
  return (first > second ? 0 : 1) === preferred ? 1 : 0;
}
