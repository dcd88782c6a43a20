import { z } from "zod";

/** Where a worker says, to whoever asks, whether it takes requests. */
export const READINESS_PATH = "/readyz";

/** The answer, with status 200 where it is ready and 503 where it is not. */
export const readinessSchema = z.object({
  status: z.enum(["ready", "loading", "stuck", "draining"]),
  /** What it was given to do and has not done. */
  load: z.object({
    generations: z.int().nonnegative(),
    /** Of prompts, and of answers as long as they may become. */
    tokens: z.int().nonnegative(),
  }),
});
export type Readiness = z.infer<typeof readinessSchema>;
