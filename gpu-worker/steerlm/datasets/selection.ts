import { type AttributeLevels, attributeSchema, type MeasuredScale } from "../../../schema/attributes.ts";
import { measuredLevels } from "../../model/measured-levels.ts";
import { type Dropout, dropAttributes } from "../attribute-dropout.ts";
import { type Labels, levelsOf } from "../rounding.ts";
import { unitHash } from "../unit-hash.ts";
import type { Conversation, Turn } from "./conversation.ts";
import type { HeldOutPrompts } from "./held-out.ts";
import { leftOut, type Outcome, taken } from "./outcome.ts";

/** What is taken of the conversations that were read, and how it is labelled. */
export type Selection = {
  heldOut?: HeldOutPrompts | undefined;
  /** Of compared answers the better or the worse; both without it. Where neither is better, both count as chosen. */
  side?: "chosen" | "rejected" | undefined;
  /** Labels verbosity and complexity by measuring: where nobody judged them, or over what somebody judged. */
  measure?: { which: "missing" | "all"; scale: MeasuredScale; lastOnly: boolean } | undefined;
  dropout?: (Dropout & { seed: string }) | undefined;
};

export function select(conversation: Conversation, { heldOut, side, measure, dropout }: Selection): Outcome {
  if (heldOut?.has(conversation)) return leftOut("held out");
  if (side !== undefined && conversation.pair !== undefined) {
    const rank = conversation.turns.at(-1)?.rank ?? 0;
    if ((rank === 0) !== (side === "chosen")) return leftOut("other side of a pair");
  }
  let { turns } = conversation;
  if (measure !== undefined) {
    const last = turns.length - 1;
    turns = turns.map((turn, index) => (measure.lastOnly && index < last ? turn : measured(turn, measure)));
  }
  if (dropout !== undefined) {
    turns = turns.map((turn, index) => dropped(turn, `${dropout.seed}:${conversation.id}:${index}`, dropout));
  }
  return taken(turns === conversation.turns ? conversation : { ...conversation, turns });
}

function measured(turn: Turn, { which, scale }: NonNullable<Selection["measure"]>): Turn {
  if (turn.role !== "assistant") return turn;
  const levels = measuredLevels(turn.text, scale);
  return { ...turn, labels: which === "all" ? { ...turn.labels, ...levels } : { ...levels, ...turn.labels } };
}

function dropped(turn: Turn, key: string, dropout: Dropout): Turn {
  if (turn.labels === undefined) return turn;
  const kept: AttributeLevels = dropAttributes(levelsOf(turn.labels), dropout, (name) => unitHash(`${key}:${name}`));
  const { labels, ...rest } = turn;
  const remaining: Labels = {};
  for (const name of attributeSchema.options) {
    const label = labels[name];
    if (label !== undefined && kept[name] !== undefined) remaining[name] = label;
  }
  return Object.keys(remaining).length === 0 ? rest : { ...rest, labels: remaining };
}
