import type { Conversation } from "./conversation.ts";

/** Why something that was read well was not taken. */
export type LeftOutReason =
  | "deleted"
  | "spam"
  | "other language"
  | "parent missing or left out"
  | "question without an answer"
  | "empty turn"
  | "not root-like"
  | "other side of a pair"
  | "held out";

/** What became of a row or a part of it. Together the outcomes account for every row of a file. */
export type Outcome =
  | { kind: "conversation"; conversation: Conversation }
  | { kind: "left out"; reason: LeftOutReason; count: number }
  | { kind: "bad row"; line: number; reason: string };

export const taken = (conversation: Conversation): Outcome => ({ kind: "conversation", conversation });

export const leftOut = (reason: LeftOutReason, count = 1): Outcome => ({ kind: "left out", reason, count });
