import { z } from "zod";
import type { TokenLogprobs } from "../logprobs.ts";
import { readRemoteLogprobs } from "./remote-logprobs.ts";
import { RemoteRefusal, readRefusal } from "./remote-refusal.ts";

/** What one chunk of a completion says. */
export type CompletionChunk = {
  text: string;
  /** The server's own reason, on the last chunk of the answer. */
  finishReason: string | null;
  /** Tokens of the answer so far, by the server's own count; `null` where the chunk does not say. */
  completionTokens: number | null;
  /** Whether `completionTokens` is what OpenAI calls the usage. */
  hasUsage: boolean;
  /** Tokens of the prompt that the server did not compute. */
  cachedTokens: number;
  logprobs: TokenLogprobs[];
};

const chunkSchema = z.object({
  /** Empty on vLLM's last chunk, which only has the usage. */
  choices: z
    .array(
      z.object({ text: z.string().nullish(), finish_reason: z.string().nullish(), logprobs: z.unknown().optional() }),
    )
    .default([]),
  usage: z
    .object({
      completion_tokens: z.int().nonnegative().nullish(),
      prompt_tokens_details: z.object({ cached_tokens: z.int().nonnegative().nullish() }).nullish(),
    })
    .nullish(),
  /** llama.cpp's, which has no `continuous_usage_stats`. */
  timings: z
    .object({ predicted_n: z.int().nonnegative().nullish(), cache_n: z.int().nonnegative().nullish() })
    .nullish(),
});

/**
 * Reads the data of one event of a completion's stream.
 *
 * @param topLogprobs how many log-probabilities were asked for beside each token's own
 * @throws RemoteRefusal for an error in a chunk's place
 * @throws Error for what is no chunk
 */
export function readChunk(data: string, topLogprobs: number): CompletionChunk {
  const json = parse(data);
  const refusal = readRefusal(json);
  if (refusal !== null) throw new RemoteRefusal(refusal);
  const parsed = chunkSchema.safeParse(json);
  if (!parsed.success) throw new Error("The server sent what is no chunk of a completion");
  const { choices, usage, timings } = parsed.data;
  const [choice] = choices;
  const counted = usage?.completion_tokens ?? null;
  return {
    text: choice?.text ?? "",
    finishReason: choice?.finish_reason ?? null,
    completionTokens: counted ?? timings?.predicted_n ?? null,
    hasUsage: counted !== null,
    cachedTokens: usage?.prompt_tokens_details?.cached_tokens ?? timings?.cache_n ?? 0,
    logprobs: readRemoteLogprobs(choice?.logprobs, topLogprobs),
  };
}

function parse(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch (cause) {
    throw new Error("The server sent an event that is not JSON", { cause });
  }
}
