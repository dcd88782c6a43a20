import type { AttributeLevels } from "../../../schema/attributes.ts";
import type { FirstQuestion } from "../datasets/first-questions.ts";
import { type Asked, placeKey, placesOf, type Reply } from "./asked-reply.ts";
import { isEcho } from "./echo.ts";

/** A reply with what it answers and what it was asked to be. */
export type KeptReply = { question: FirstQuestion; levels: AttributeLevels; reply: Reply };

/** Replies that are kept, and how many were generated that are not. */
export type KeptReplies = { kept: KeptReply[]; empty: number; repeated: number; echoes: number };

/**
 * The replies that were asked for, question by question. An empty one teaches nothing; one that says what an earlier reply to the same
 * question says would only count twice; one that recites the words it was told teaches to recite.
 *
 * @param method how replies were told what to be
 */
export function keptReplies(
  asked: readonly Asked[],
  { replies, generated, method }: { replies: number; generated: readonly Reply[]; method: "label_line" | "words" },
): KeptReplies {
  const byPlace = new Map(generated.map((reply) => [placeKey(reply), reply]));
  const result: KeptReplies = { kept: [], empty: 0, repeated: 0, echoes: 0 };
  for (const one of asked) {
    const { question } = one;
    const said = new Set<string>();
    for (const { place, ask } of placesOf(one, replies)) {
      const reply = byPlace.get(placeKey(place));
      if (reply === undefined) continue;
      const text = reply.text.trim();
      if (text === "") result.empty++;
      else if (said.has(text)) result.repeated++;
      else if (method === "words" && isEcho(text, [ask.levels, ask.against])) result.echoes++;
      else result.kept.push({ question, levels: ask.levels, reply });
      said.add(text);
    }
  }
  return result;
}
