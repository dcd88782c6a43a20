import type { Message } from "../../../schema/api/chat.ts";
import type { AttributeLevels } from "../../../schema/attributes.ts";

/** A reply to be trained, with what it answers. */
export type SftRow = {
  /** What comes before the reply; past answers say in `steer` what they were asked to be. */
  messages: readonly Message[];
  /** Of the reply, the end marker included where the reply is whole. */
  tokens: readonly number[];
  /** How much each of these tokens counts. */
  weights: readonly number[];
  levels: AttributeLevels;
};
