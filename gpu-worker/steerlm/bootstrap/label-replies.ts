import { measuredLevels } from "../../model/measured-levels.ts";
import type { AttributeScorer } from "../../runtime/attribute-scorer.ts";
import { type ReadingOptions, readAnswers } from "../apm/answer-reader.ts";
import { JsonlLog } from "../evaluate/jsonl-log.ts";
import type { Labels } from "../rounding.ts";
import { placeKey, readSchema } from "./asked-reply.ts";
import type { KeptReply } from "./kept-replies.ts";

export type LabellingReplies = {
  kept: readonly KeptReply[];
  /** Path of the log that labels are added to. */
  path: string;
  /** `null`: nothing is predicted, only measured. */
  open: (() => Promise<AttributeScorer>) | null;
  reading: ReadingOptions;
  signal: AbortSignal;
  /** Hears how many replies are labelled. */
  onProgress: (done: number, total: number) => void;
};

/** Replies that are read together: what an interruption loses. */
const REPLIES_AT_ONCE = 64;

/**
 * Reads the attributes of every reply that the log does not hold yet, and adds them to it.
 *
 * @throws Error where the model cannot be loaded or the disk does not take them; the signal's reason once it is aborted
 */
export async function labelReplies(labelling: LabellingReplies): Promise<void> {
  const { kept, path, open, reading, signal, onProgress } = labelling;
  const log = await JsonlLog.open(path, readSchema);
  try {
    const known = new Set(log.rows.map(placeKey));
    const missing = kept.filter(({ reply }) => !known.has(placeKey(reply)));
    let done = kept.length - missing.length;
    onProgress(done, kept.length);
    if (missing.length === 0) return;
    const scorer = (await open?.()) ?? null;
    try {
      for (let start = 0; start < missing.length; start += REPLIES_AT_ONCE) {
        const chunk = missing.slice(start, start + REPLIES_AT_ONCE);
        const read = await readReplies(chunk, scorer, { ...reading, signal });
        for (const [index, { reply }] of chunk.entries()) {
          await log.append({ prompt: reply.prompt, sample: reply.sample, labels: read[index] ?? {} });
        }
        done += chunk.length;
        onProgress(done, kept.length);
      }
    } finally {
      scorer?.release();
    }
  } finally {
    await log.close();
  }
}

async function readReplies(
  chunk: readonly KeptReply[],
  scorer: AttributeScorer | null,
  options: ReadingOptions & { signal: AbortSignal },
): Promise<Labels[]> {
  options.signal.throwIfAborted();
  if (scorer === null) return chunk.map(({ reply }) => measuredLevels(reply.text, options.scale));
  const answers = chunk.map(({ question, reply }) => ({
    messages: [{ role: "user" as const, content: question.text }],
    answer: reply.text,
  }));
  return readAnswers(scorer, answers, options);
}
