import { z } from "zod";
import type { TokenLogprob, TokenLogprobs } from "../logprobs.ts";

/** JSON has no −∞. */
const logprobSchema = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NEGATIVE_INFINITY);

/** llama.cpp's, which has the form of OpenAI's chat completions, and ids. */
const entrySchema = z.object({ id: z.int(), logprob: logprobSchema });
const contentSchema = z.object({ content: z.array(entrySchema.extend({ top_logprobs: z.array(entrySchema) })) });

/** vLLM's, with `return_tokens_as_token_ids`. */
const tokenIdSchema = z
  .string()
  .regex(/^token_id:\d+$/)
  .transform((text) => Number(text.slice("token_id:".length)));
const listsSchema = z.object({
  tokens: z.array(tokenIdSchema),
  token_logprobs: z.array(logprobSchema),
  top_logprobs: z.array(z.record(z.string(), logprobSchema).nullable()).nullish(),
});

/**
 * The log-probabilities of a chunk's tokens, in either server's form; none where the chunk has none.
 *
 * @param count how many of the most likely tokens to keep; vLLM adds the generated one to them
 */
export function readRemoteLogprobs(logprobs: unknown, count: number): TokenLogprobs[] {
  const content = contentSchema.safeParse(logprobs);
  if (content.success) {
    return content.data.content.map(({ id, logprob, top_logprobs }) => ({
      token: id,
      logprob,
      top: best(
        top_logprobs.map((entry) => ({ token: entry.id, logprob: entry.logprob })),
        count,
      ),
    }));
  }
  const lists = listsSchema.safeParse(logprobs);
  if (!lists.success) return [];
  const { tokens, token_logprobs, top_logprobs } = lists.data;
  return tokens.map((token, index) => ({
    token,
    logprob: token_logprobs[index] ?? Number.NEGATIVE_INFINITY,
    top: best(
      Object.entries(top_logprobs?.[index] ?? {}).map(([text, logprob]) => ({
        token: tokenIdSchema.parse(text),
        logprob,
      })),
      count,
    ),
  }));
}

function best(entries: TokenLogprob[], count: number): TokenLogprob[] {
  return entries.sort((a, b) => b.logprob - a.logprob).slice(0, count);
}
