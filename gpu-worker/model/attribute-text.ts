import { z } from "zod";
import { type ChatTemplate, renderOpened } from "./chat-template.ts";
import type { Turn } from "./conditioned-turns.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Of a text: with fewer, what the template writes would leave hardly any to what was said. */
export const FEWEST_TOKENS = 64;

/** How an attribute prediction model (APM) reads texts. Stored with it, for it reads no others well. */
export const attributeTextSchema = z.strictObject({
  /** Most tokens of a text. */
  max_tokens: z.int().min(FEWEST_TOKENS),
  /** Of the tokens of a text that is too long, the answer's share; what the conversation leaves free is the answer's too. */
  answer_share: z.number().gt(0).lt(1),
});
export type AttributeTextSettings = z.infer<typeof attributeTextSchema>;

export const DEFAULT_ATTRIBUTE_TEXT: AttributeTextSettings = { max_tokens: 384, answer_share: 0.67 };

/** What came before an answer, the oldest first. */
type AnsweredTurn = { role: "system" | "user" | "assistant"; content: string };

/** An answer whose attributes are to be read, and the conversation that it answers; without turns a text that answers nothing. */
export type JudgedAnswer = { messages: readonly AnsweredTurn[]; answer: string };

/**
 * The text that attributes are read off, at its last token: the conversation and the answer through the model's template, past answers
 * without label lines, then the label marker, `<|im_start|>attributes\n` in ChatML. Training, annotation and serving all use this function.
 *
 * - A conversation without a system prompt has an empty one, so that the template's own, which says nothing, costs no tokens.
 * - An answer to nothing, such as a comment, answers an empty question.
 * - Of a text that is too long the end of the conversation and the beginning of the answer are kept.
 *
 * Text can never become a marker token.
 *
 * @throws AttuneError `invalid_request` where the template refuses the conversation
 */
export function attributeText(
  tokenizer: Tokenizer,
  template: ChatTemplate,
  { messages, answer }: JudgedAnswer,
  { max_tokens, answer_share }: AttributeTextSettings,
): number[] {
  // No token is longer, so what lies behind could not be among the tokens that are kept; tokenising it would take its time.
  const longest = max_tokens * tokenizer.longestToken;
  const turns: Turn[] = [
    ...(messages[0]?.role === "system" ? [] : [EMPTY_SYSTEM]),
    ...messages.map(({ role, content }) => ({ role, content: content.trim().slice(-longest) })),
    ...(messages.some(({ role }) => role === "user") ? [] : [EMPTY_QUESTION]),
    { role: "assistant", content: answer.trim().slice(0, longest) },
  ];
  const { ids, last } = renderOpened(tokenizer, template, turns, "attributes");
  if (ids.length <= max_tokens) return ids;

  const before = ids.slice(0, last.from);
  const answered = ids.slice(last.from, last.to);
  const after = ids.slice(last.to);
  const room = max_tokens - after.length;
  const kept = Math.min(answered.length, Math.max(room - before.length, Math.round(room * answer_share)));
  return [...endOf(before, room - kept, tokenizer.requiredBos), ...answered.slice(0, kept), ...after];
}

const EMPTY_SYSTEM: Turn = { role: "system", content: "" };
const EMPTY_QUESTION: Turn = { role: "user", content: "" };

/** The last `count` tokens, of which the first is what every text of the model begins with. */
function endOf(ids: readonly number[], count: number, bos: number | null): number[] {
  if (ids.length <= count) return [...ids];
  if (bos === null || count === 0) return ids.slice(ids.length - count);
  return [bos, ...ids.slice(ids.length - count + 1)];
}
