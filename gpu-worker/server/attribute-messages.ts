import type { JudgedAnswer } from "../model/attribute-text.ts";
import type { Predictions } from "../runtime/attribute-scorer.ts";

/** What is read at once: all answers of it, or `close`, after which the thread ends. */
export type ToReader = { type: "read"; answers: JudgedAnswer[] } | { type: "close" };

/** What was read off one answer, or why it cannot be read. */
export type Reading = { predictions: Predictions } | { refused: string };

/** `readings` are in the order of the answers. */
export type FromReader = { type: "ready" } | { type: "read"; readings: Reading[] };
