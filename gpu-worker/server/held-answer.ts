import type { AnswerWriter } from "./answer-writer.ts";
import { notModerated } from "./moderate.ts";

/**
 * Holds an answer back until all its choices were moderated. Then it is written as it came, but that the flagged ones have no text and
 * end for that reason. Where one could not be moderated, the answer has failed; of an answer that did not finish, nothing is written.
 */
export function holdAnswer(writer: AnswerWriter): AnswerWriter {
  const held: ((flagged: ReadonlySet<number>) => void)[] = [];
  return {
    text(piece, completionTokens) {
      held.push((flagged) => {
        if (!flagged.has(piece.index)) writer.text(piece, completionTokens);
      });
    },
    finish(index, reason, completionTokens) {
      held.push((flagged) => writer.finish(index, flagged.has(index) ? "content_filter" : reason, completionTokens));
    },
    end(ending, measurements) {
      if (ending.kind !== "finished") return writer.end(ending, null);
      const verdicts = measurements?.map(({ moderation }) => moderation ?? null) ?? [null];
      if (verdicts.includes(null)) {
        const { completionTokens } = ending;
        return writer.end({ kind: "failed", completionTokens, reason: "not moderated", error: notModerated() }, null);
      }
      const flagged = new Set(verdicts.flatMap((verdict, index) => (verdict?.flagged === true ? [index] : [])));
      for (const write of held) write(flagged);
      writer.end(ending, measurements);
    },
  };
}
