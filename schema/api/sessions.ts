import { z } from "zod";
import { slugSchema } from "./preset-reference.ts";

/** The body of `POST /v1/sessions`. */
export const sessionCreateSchema = z.strictObject({
  /** Whoever sits before the page, as the page says. */
  end_user: z.string().min(1).max(128).optional(),
  /** What the session is limited to; its requests need not name it. */
  preset: slugSchema.optional(),
});

/** The answer: a bearer token for a page of this origin. */
export const sessionAnswerSchema = z.object({
  object: z.literal("session"),
  token: z.string(),
  expires_at: z.int().describe("Unix seconds."),
  origin: z.string(),
  end_user: z.string().nullable(),
  preset: z.string().nullable(),
});
export type SessionAnswer = z.infer<typeof sessionAnswerSchema>;
