import type { Message } from "../../../schema/api/chat.ts";
import { AttuneError } from "../../../schema/wire/errors.ts";
import type { ChatTemplate } from "../../model/chat-template.ts";
import type { Tokenizer } from "../../model/tokenizer.ts";
import type { Conversation, Turn } from "../datasets/conversation.ts";
import { levelsOf } from "../rounding.ts";
import { promptOf } from "./prompt.ts";
import type { SftRow } from "./row.ts";
import { tokenWeights } from "./token-weights.ts";

export type RowOptions = {
  tokenizer: Tokenizer;
  template: ChatTemplate;
  endMarker: number;
  /** Only the last turn is trained; else every answer. */
  lastOnly: boolean;
  /** Most tokens of a reply; what is longer is cut, and then has no end marker. */
  maxReply: number;
  /** Most tokens of a prompt without its label line. */
  maxPrompt: number;
  /** Weight of the token after a sentence's end. */
  sentenceEnd: number;
};

/** Why an answer is not trained. */
export type UntrainedReason =
  | "prompt too long"
  | "prompt refused by the chat template"
  | "answer to no question"
  | "answer without tokens";

/** A row for each answer of a conversation that is trained, and why others are not. */
export function rowsOf(conversation: Conversation, options: RowOptions): (SftRow | UntrainedReason)[] {
  const { turns } = conversation;
  return turns.flatMap((turn, index) => {
    if (turn.role !== "assistant" || (options.lastOnly && index < turns.length - 1)) return [];
    return [rowOf(conversation, turn, index, options)];
  });
}

function rowOf(
  { system, turns }: Conversation,
  turn: Turn,
  index: number,
  options: RowOptions,
): SftRow | UntrainedReason {
  if (turns[index - 1]?.role !== "user") return "answer to no question";
  // No turn has less than a token, so however many there are, few are looked at.
  if (index > options.maxPrompt) return "prompt too long";
  const messages = turns.slice(0, index).map(messageOf);
  if (system !== undefined) messages.unshift({ role: "system", content: system });
  const refusal = refusalOf(messages, options);
  if (refusal !== null) return refusal;
  const tokens = replyTokens(turn, options);
  if (tokens.length === 0) return "answer without tokens";
  const { tokenizer, endMarker, sentenceEnd } = options;
  const weights = tokenWeights(tokenizer, tokens, endMarker, sentenceEnd);
  return { messages, tokens, weights, levels: levelsOf(turn.labels ?? {}) };
}

const messageOf = ({ role, text, labels }: Turn): Message =>
  role === "assistant" && labels !== undefined
    ? { role, content: text, steer: { attributes: levelsOf(labels) } }
    : { role, content: text };

/** Why a prompt is not trained on; null where it is. */
function refusalOf(
  messages: readonly Message[],
  { tokenizer, template, maxPrompt }: RowOptions,
): UntrainedReason | null {
  // A text of megabytes need not be tokenised to be too long.
  const bytes = messages.reduce((sum, { content }) => sum + Buffer.byteLength(content.trim()), 0);
  if (bytes > maxPrompt * tokenizer.longestToken) return "prompt too long";
  try {
    return promptOf(tokenizer, template, messages, {}, null).length > maxPrompt ? "prompt too long" : null;
  } catch (error) {
    if (error instanceof AttuneError) return "prompt refused by the chat template";
    throw error;
  }
}

/** A reply as it is generated, token by token after the prompt. */
function replyTokens({ text, cut }: Turn, { tokenizer, endMarker, maxReply }: RowOptions): number[] {
  const whole = text.trim();
  // So many bytes have more tokens than are kept.
  const head = Buffer.byteLength(whole) > maxReply * tokenizer.longestToken;
  const kept = head ? whole.slice(0, maxReply * tokenizer.longestToken) : whole;
  const tokens = tokenizer.encodeText(kept, false);
  if (head || tokens.length > maxReply) return tokens.slice(0, maxReply);
  return tokens.length === 0 || cut ? tokens : [...tokens, endMarker];
}
