import { z } from "zod";
import { slugSchema } from "./presets.ts";

/** The body of `POST /v1/sessions`. */
export const sessionCreateSchema = z.strictObject({
  /** Whoever sits before the page, as the page says. */
  end_user: z.string().min(1).max(128).optional(),
  /** What the session is limited to; its requests need not name it. */
  preset: slugSchema.optional(),
});

/** The answer: a bearer token for a page of this origin. */
export type SessionAnswer = {
  object: "session";
  token: string;
  /** Unix seconds. */
  expires_at: number;
  origin: string;
  end_user: string | null;
  preset: string | null;
};
