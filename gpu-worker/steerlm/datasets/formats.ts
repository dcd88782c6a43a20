import { helpSteer, helpSteerPreference, promptResponse } from "./attribute-rows.ts";
import { conversationSchema } from "./conversation.ts";
import { hhRlhf } from "./hh-rlhf.ts";
import { benchQuestions, instructions, llmBar, pandaLm, selfInstruct } from "./instructions.ts";
import { nemo } from "./nemo.ts";
import { oasstFlat, oasstTrees } from "./oasst.ts";
import { taken } from "./outcome.ts";
import { type Format, has, rowFormat } from "./reader.ts";
import { davidson, surge } from "./toxic-comments.ts";
import { trl } from "./trl.ts";

const attune: Format = rowFormat(
  {
    name: "attune",
    holds: "this project's own: id, source, turns with their labels",
    matches: (row) => has(row, "id", "source", "turns"),
  },
  conversationSchema,
  (conversation) => [taken(conversation)],
);

/** Every format, the first that matches a row taken: ones with more fields of their own stand before those with fewer. */
export const FORMATS: readonly Format[] = [
  attune,
  oasstTrees,
  oasstFlat,
  nemo,
  hhRlhf,
  helpSteerPreference,
  helpSteer,
  trl,
  promptResponse,
  pandaLm,
  llmBar,
  selfInstruct,
  instructions,
  benchQuestions,
  davidson,
  surge,
];

/** The format of a row, by its fields. */
export function formatOf(row: unknown): Format | undefined {
  if (typeof row !== "object" || row === null || Array.isArray(row)) return undefined;
  const fields = Object.fromEntries(Object.entries(row));
  return FORMATS.find((format) => format.matches(fields));
}
