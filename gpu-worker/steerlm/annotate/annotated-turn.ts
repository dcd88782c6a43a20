import { ATTRIBUTES } from "../../../schema/attributes.ts";
import type { Turn } from "../datasets/conversation.ts";
import type { Labels } from "../rounding.ts";

export const LABEL_CHOICES = ["predicted", "human", "both-mean"] as const;
/**
 * Which label an annotated answer is trained on, where it has both:
 *
 * - `predicted`: what was predicted, as in the paper, so that all labels are of one kind.
 * - `human`: what somebody judged.
 * - `both-mean`: their mean.
 */
export type LabelChoice = (typeof LABEL_CHOICES)[number];

/** What somebody judged: an answer that was annotated before has it beside its labels. */
export const humanLabels = (turn: Turn): Labels => (turn.predicted === undefined ? turn.labels : turn.human) ?? {};

/** An answer with what was predicted, and the labels that are trained on. What somebody judged is kept. */
export function annotatedTurn(turn: Turn, predicted: Labels, choice: LabelChoice): Turn {
  const human = humanLabels(turn);
  const labels: Labels = {};
  for (const name of ATTRIBUTES) {
    const label = chosen(human[name], predicted[name], choice);
    if (label !== undefined) labels[name] = label;
  }
  const { human: _, ...rest } = turn;
  const judged = ATTRIBUTES.some((name) => human[name] !== undefined) ? { human } : {};
  return { ...rest, labels, predicted, ...judged };
}

function chosen(human: number | undefined, predicted: number | undefined, choice: LabelChoice): number | undefined {
  if (human === undefined || predicted === undefined) return human ?? predicted;
  if (choice === "both-mean") return (human + predicted) / 2;
  return choice === "human" ? human : predicted;
}
