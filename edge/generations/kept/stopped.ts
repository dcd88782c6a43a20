import { MAX_KEPT_BYTES } from "../../../schema/api/generations.ts";
import { AttuneError, isErrorCode } from "../../../schema/wire/errors.ts";

/** Its owner ended it. */
export const CANCELLED = new AttuneError(
  "generation_cancelled",
  "The generation was cancelled before its answer was complete. Send the request anew for another one.",
);

/** Its object lost what it had in memory, and with it the connection to the worker. */
export const INTERRUPTED = new AttuneError(
  "generation_failed",
  "The server was restarted while it received the answer, which is incomplete. Send the request anew.",
);

export const TOO_LARGE = new AttuneError(
  "generation_failed",
  `The answer is larger than ${MAX_KEPT_BYTES} bytes, the most that is kept, so it was ended. Ask for fewer tokens, answers or logprobs.`,
);

/** What an answer failed with, where only its code is known. */
export function failureOf(code: string): AttuneError {
  const message = "The answer failed. What there is of it says why; send the request anew.";
  return new AttuneError(isErrorCode(code) ? code : "generation_failed", message);
}
