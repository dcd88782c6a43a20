import { concurrently } from "../concurrently.ts";
import type { Answerer } from "../evaluate/answerer.ts";
import { JsonlLog } from "../evaluate/jsonl-log.ts";
import { type Asked, placeKey, placesOf, type Reply, replySchema, replySeed } from "./asked-reply.ts";

export type GeneratingReplies = {
  asked: readonly Asked[];
  /** Replies to each question under each of its label lines. */
  replies: number;
  seed: string;
  /** Path of the log that they are added to. */
  path: string;
  /** Replies in the making at once. */
  rows: number;
  /** How levels are told. */
  method: "label_line" | "words";
  open: () => Promise<Pick<Answerer, "answer" | "close">>;
  signal: AbortSignal;
  /** Hears after each reply how many there are. */
  onProgress: (done: number, total: number) => void;
};

/**
 * Generates every reply that the log does not hold yet, and adds each to it as soon as it is there. Those to one question are asked for one
 * after the other: together in the engine, they read it once.
 *
 * @throws Error where the engine fails or the disk does not take a reply; the signal's reason once it is aborted. What is in the log stays.
 */
export async function generateReplies(generating: GeneratingReplies): Promise<void> {
  const { asked, replies, seed, path, rows, method, open, signal, onProgress } = generating;
  const log = await JsonlLog.open(path, replySchema);
  try {
    const known = new Set(log.rows.map(placeKey));
    const all = asked.flatMap((one) => placesOf(one, replies).map((placed) => ({ ...placed, question: one.question })));
    const missing = all.filter(({ place }) => !known.has(placeKey(place)));
    let done = all.length - missing.length;
    onProgress(done, all.length);
    if (missing.length === 0) return;
    const answerer = await open();
    try {
      await concurrently(missing, rows, signal, async ({ question, place, ask }, stopped) => {
        const wish = { method, ...ask, seed: replySeed(place, seed) };
        const reply: Reply = { ...place, ...(await answerer.answer(question.text, wish, stopped)) };
        await log.append(reply);
        onProgress(++done, all.length);
      });
    } finally {
      await answerer.close();
    }
  } finally {
    await log.close();
  }
}
