import { z } from "zod";
import { requestedLevelsSchema } from "../attributes.ts";
import { chatRequestSchema, type Message, UNSUPPORTED_FIELDS } from "./chat.ts";

const PART_ERROR = "only text parts are supported: no files, tools or sources";

/** Parts that hold nothing for the model: where a step of an earlier answer began, its reasoning, and what only the page reads. */
const silentPartSchema = z.object({
  type: z.string().refine((type) => type === "step-start" || type === "reasoning" || type.startsWith("data-"), {
    error: PART_ERROR,
  }),
});
const partSchema = z.union([z.object({ type: z.literal("text"), text: z.string() }), silentPartSchema]);

/** What an earlier answer's metadata says of its steering, in whichever form a page keeps it; anything else is the page's own. */
const metadataSchema = z
  .object({ steer: z.object({ effective: requestedLevelsSchema }) })
  .nullish()
  .catch(null);

/** A turn as the AI SDK's `useChat` keeps it. An answer of ours goes back to the model under the levels that it was generated under. */
const uiMessageSchema = z
  .object({
    role: z.enum(["system", "user", "assistant"], { error: "must be system, user or assistant" }),
    parts: z.array(partSchema),
    metadata: metadataSchema,
  })
  .transform(({ role, parts, metadata }): Message => {
    const content = parts.map((part) => ("text" in part ? part.text : "")).join("");
    const steer = role === "assistant" && metadata != null ? { attributes: metadata.steer.effective } : undefined;
    return { role, content, ...(steer !== undefined && { steer }) };
  });

/**
 * The body of `POST /v1/chat/ui`, as the AI SDK's `DefaultChatTransport` sends it, with the model, `steer` and sampling of a chat
 * request in the transport's `body`. Unknown fields, as the chat's `id` and `trigger`, are ignored.
 */
export const uiChatRequestSchema = chatRequestSchema
  .omit({ stream: true, stream_options: true, n: true, logprobs: true, top_logprobs: true })
  .extend({ messages: z.array(uiMessageSchema).min(1, { error: "must hold at least one message" }).max(1024) });

/** What a chat request may say and a UI message stream has no place for, and what neither can, each with the values that ask for nothing. */
export const UNSUPPORTED_UI_FIELDS: typeof UNSUPPORTED_FIELDS = {
  ...UNSUPPORTED_FIELDS,
  n: (value) => value === 1,
  logprobs: (value) => value === false,
  stream: (value) => value === true,
};
