import { z } from "zod";

const jsonObjectSchema = z.object({ type: z.literal("json_object") });

/** OpenAI's `response_format`. The schema is always kept to, whether or not the request says `strict`. */
export const responseFormatRequestSchema = z.discriminatedUnion(
  "type",
  [
    z.object({ type: z.literal("text") }),
    jsonObjectSchema,
    z.object({
      type: z.literal("json_schema"),
      json_schema: z.object({ name: z.string().min(1).max(64).optional(), schema: z.record(z.string(), z.unknown()) }),
    }),
  ],
  { error: "must have the type text, json_object or json_schema" },
);

/** A format that an answer is held to, as the worker gets it. */
export const responseFormatSchema = z.discriminatedUnion("type", [
  jsonObjectSchema,
  z.object({ type: z.literal("json_schema"), schema: z.record(z.string(), z.unknown()) }),
]);
export type ResponseFormat = z.infer<typeof responseFormatSchema>;

/** The format a request asks for; `null` for plain text. */
export function responseFormatOf(
  request: z.infer<typeof responseFormatRequestSchema> | null | undefined,
): ResponseFormat | null {
  if (request == null || request.type === "text") return null;
  return request.type === "json_object" ? request : { type: "json_schema", schema: request.json_schema.schema };
}
