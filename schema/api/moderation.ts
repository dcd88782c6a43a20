import { z } from "zod";
import { levelSchema } from "../attributes.ts";

/** What moderation reads off an answer. */
const MODERATED = "toxicity";

const ABOVE_ERROR = "must be a level from 0 to 3: nothing is above 4";

/**
 * How a key has its answers moderated by what an attribute prediction model reads off them. `block`: one above the level is withheld;
 * `annotate`: it is delivered, and says so.
 */
export const moderationSchema = z.strictObject({
  mode: z.enum(["block", "annotate"], { error: "must be block or annotate" }),
  above: z.int({ error: ABOVE_ERROR }).min(0, { error: ABOVE_ERROR }).max(3, { error: ABOVE_ERROR }),
});
export type Moderation = z.infer<typeof moderationSchema>;

/** What moderation says of one answer. */
export const verdictSchema = z.strictObject({
  attribute: z.literal(MODERATED),
  /** As it was read, a fraction within 0–4, and the level nearest to it. */
  score: z.number(),
  level: levelSchema,
  /** The key's. */
  above: moderationSchema.shape.above,
  /** Whether the level is above that. */
  flagged: z.boolean(),
});
export type Verdict = z.infer<typeof verdictSchema>;
