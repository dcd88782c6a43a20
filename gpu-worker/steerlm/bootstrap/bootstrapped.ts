import type { Conversation, Turn } from "../datasets/conversation.ts";
import type { Labels } from "../rounding.ts";
import { placeKey } from "./asked-reply.ts";
import type { KeptReply } from "./kept-replies.ts";

/** A generated reply as a conversation to train on: labelled by what it was read to be, whatever it was asked to be. */
export function bootstrapped({ question, levels, reply }: KeptReply, labels: Labels): Conversation {
  const answer: Turn = {
    role: "assistant",
    text: reply.text,
    labels,
    predicted: labels,
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
