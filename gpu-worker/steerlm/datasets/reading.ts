import type { Conversation } from "./conversation.ts";
import type { LeftOutReason } from "./outcome.ts";
import { readDataset } from "./read.ts";
import type { Format, ReadOptions } from "./reader.ts";
import { type Selection, select } from "./selection.ts";

export type Reading = {
  files: readonly string[];
  format?: Format | undefined;
  options: ReadOptions;
  selection: Selection;
  onBadRow: "fail" | "skip";
  signal: AbortSignal;
  /** Hears of each bad row that is skipped. */
  onNotice: (text: string) => void;
  /** Hears how far a file is read, 0–1, and what came of it all so far. */
  onProgress: (file: string, share: number, tally: Tally) => void;
};

/** What became of everything that was read. */
export type Tally = { conversations: number; badRows: number; leftOut: Map<LeftOutReason, number> };

/**
 * Reads all files and hands on what is selected of them.
 *
 * @throws Error at the first bad row where `onBadRow` says so, where a file cannot be read, and when aborted
 */
export async function readAll(
  reading: Reading,
  take: (conversation: Conversation, leaveOut: (reason: LeftOutReason) => void) => Promise<void> | void,
): Promise<Tally> {
  const { files, format, options, selection, onBadRow, signal } = reading;
  const tally: Tally = { conversations: 0, badRows: 0, leftOut: new Map() };
  const leaveOut = (reason: LeftOutReason, count = 1) => {
    tally.leftOut.set(reason, (tally.leftOut.get(reason) ?? 0) + count);
  };
  for (const file of files) {
    const onProgress = ({ done, total }: { done: number; total: number }) =>
      reading.onProgress(file, total === 0 ? 1 : done / total, tally);
    for await (const read of readDataset(file, options, { format, onProgress, signal })) {
      signal.throwIfAborted();
      const outcome = read.kind === "conversation" ? select(read.conversation, selection) : read;
      if (outcome.kind === "conversation") {
        tally.conversations++;
        await take(outcome.conversation, leaveOut);
      } else if (outcome.kind === "left out") leaveOut(outcome.reason, outcome.count);
      else {
        const what = `${file}:${outcome.line}: ${outcome.reason}`;
        if (onBadRow === "fail")
          throw new Error(`${what}\nCorrect the row, or leave such rows out with --on-bad-row skip.`);
        tally.badRows++;
        reading.onNotice(`${what} (skipped)`);
      }
    }
  }
  return tally;
}

/** "1 row", "2,345 rows". */
export const counted = (count: number, noun: string): string =>
  `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

/** What was read and what was not, in one line. */
export function tallyText({ conversations, badRows, leftOut }: Tally): string {
  const reasons = [...leftOut].map(([reason, count]) => `${count.toLocaleString("en")} ${reason}`);
  return [
    counted(conversations, "conversation"),
    reasons.length === 0 ? "nothing left out" : `left out: ${reasons.join(", ")}`,
    `${counted(badRows, "bad row")} skipped`,
  ].join("; ");
}
