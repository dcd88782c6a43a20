import type { AttributeScorer } from "../../runtime/attribute-scorer.ts";
import { type ReadingOptions, readAnswers } from "../apm/answer-reader.ts";
import { judgedAnswer, turnKey } from "../apm/judged-answers.ts";
import type { Conversation } from "../datasets/conversation.ts";
import type { Labels } from "../rounding.ts";
import { annotatedTurn, type LabelChoice } from "./annotated-turn.ts";

export type AnnotateOptions = ReadingOptions & {
  labels: LabelChoice;
  /** Whether only the last answer of a conversation is annotated. */
  lastOnly: boolean;
  signal: AbortSignal;
};

/** Which turns of a conversation are annotated. */
export function annotatedTurns({ turns }: Conversation, lastOnly: boolean): number[] {
  const answers = [...turns.keys()].filter((index) => turns[index]?.role === "assistant");
  return lastOnly ? answers.filter((index) => index === turns.length - 1) : answers;
}

/** Conversations with their answers annotated. An answer that several of them share is read once. @throws as `AttributeScorer.score` */
export async function annotate(
  scorer: AttributeScorer,
  conversations: readonly Conversation[],
  { labels, lastOnly, ...options }: AnnotateOptions,
): Promise<Conversation[]> {
  const places = conversations.flatMap((conversation) =>
    annotatedTurns(conversation, lastOnly).map((index) => ({ conversation, index, key: turnKey(conversation, index) })),
  );
  const distinct = [...new Map(places.map((place) => [place.key, place])).values()];
  const answers = distinct.map(({ conversation, index }) => judgedAnswer(conversation, index));
  const read = await readAnswers(scorer, answers, options);
  const byKey = new Map<string, Labels>(distinct.map(({ key }, index) => [key, read[index] ?? {}]));
  return conversations.map((conversation) => {
    const chosen = new Set(annotatedTurns(conversation, lastOnly));
    const turns = conversation.turns.map((turn, index) => {
      const predicted = chosen.has(index) ? byKey.get(turnKey(conversation, index)) : undefined;
      return predicted === undefined ? turn : annotatedTurn(turn, predicted, labels);
    });
    return { ...conversation, turns };
  });
}
