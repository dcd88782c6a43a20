import type { Conversation, Turn } from "../datasets/conversation.ts";
import type { LabelledReply } from "./as-asked.ts";
import { placeKey } from "./asked-reply.ts";

/** A generated reply as a conversation to train on. */
export function bootstrapped({ one: { question, levels, reply }, labels, read }: LabelledReply): Conversation {
  const answer: Turn = {
    role: "assistant",
    text: reply.text,
    labels,
    predicted: read,
    requested: levels,
    ...(reply.finish === "length" && { cut: true }),
  };
  return {
    id: placeKey(reply),
    source: "bootstrap",
    ...(question.tree !== undefined && { tree: question.tree }),
    turns: [{ role: "user", text: question.text }, answer],
  };
}
