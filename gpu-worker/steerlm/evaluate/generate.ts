import { createHash } from "node:crypto";
import { concurrently } from "../concurrently.ts";
import type { Answerer, Wish } from "./answerer.ts";
import type { Evaluation } from "./evaluation.ts";
import type { JsonlLog } from "./jsonl-log.ts";
import { type Question, questionKey, type SteeredAnswer, SYSTEMS, type System } from "./steered-answer.ts";

/** A seed that depends on the question alone, so that runs repeat and may grow. */
export const seedOf = (question: Question, seed: number): number =>
  createHash("sha256")
    .update(`${seed}:${questionKey(question)}`)
    .digest()
    .readUInt32BE();

/** What a system is asked to do for a question. */
export function wishOf(question: Question, seed: number): Wish {
  const { system, strength, levels, against } = question;
  const labelled = system === "adapter" || system === "control";
  const method = system === "base" ? "none" : labelled ? "label_line" : "words";
  return { method, levels, strength, against, seed: seedOf(question, seed) };
}

export type Generating = {
  evaluation: Evaluation;
  questions: readonly Question[];
  log: JsonlLog<SteeredAnswer>;
  /** Answers in the making at once. */
  rows: number;
  open: (system: System) => Promise<Pick<Answerer, "answer" | "close">>;
  signal: AbortSignal;
  /** Hears after each answer how many there are. */
  onProgress: (answered: number, total: number) => void;
};

/**
 * Answers every question that the log does not answer yet, and adds each answer to it as soon as it is there. Systems come one after
 * the other, so that one model is in memory at a time.
 *
 * @throws Error where the engine fails or the disk does not take an answer; the signal's reason once it is aborted. What is in the log stays.
 */
export async function generateAnswers(generating: Generating): Promise<void> {
  const { evaluation, questions, log, rows, open, signal, onProgress } = generating;
  const answered = new Set(log.rows.map(questionKey));
  const unanswered = questions.filter((question) => !answered.has(questionKey(question)));
  const texts = new Map(evaluation.prompts.map(({ id, text }) => [id, text]));
  let done = questions.length - unanswered.length;
  onProgress(done, questions.length);
  for (const system of SYSTEMS) {
    const remaining = unanswered.filter((question) => question.system === system);
    if (remaining.length === 0) continue;
    const answerer = await open(system);
    try {
      await concurrently(remaining, rows, signal, async (question, stopped) => {
        const wish = wishOf(question, evaluation.answering.seed);
        const answer = await answerer.answer(texts.get(question.prompt) ?? "", wish, stopped);
        await log.append({ ...question, ...answer });
        onProgress(++done, questions.length);
      });
    } finally {
      await answerer.close();
    }
  }
}
