import type { ChatRequest } from "../../schema/api/chat.ts";
import type { AttuneError } from "../../schema/wire/errors.ts";
import { formatFrame } from "../../schema/wire/frames.ts";
import type { GenerateRequest } from "../../schema/wire/generate.ts";
import { parseChatRequest } from "./request.ts";

/** One way of asking for an answer and of being given it. The worker renders the answer; the edge reads the question. */
export type Dialect = {
  name: GenerateRequest["dialect"];
  /**
   * Reads a body as the chat request that it amounts to. `echo` is what the answer repeats of the body.
   *
   * @throws AttuneError for whatever is wrong with it
   */
  read(body: unknown): { chat: ChatRequest; echo?: GenerateRequest["echo"] };
  /** Headers of its streams, beside those of all event streams. */
  streamHeaders: Record<string, string>;
  /** The events that end a stream which did not come to its own end. `sequence` is the next frame's number. */
  brokenOff(error: AttuneError, sequence: number): string;
};

/** What all event streams are sent with. */
export const EVENT_STREAM_HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
};

/** OpenAI's chat completions. */
export const CHAT_COMPLETIONS: Dialect = {
  name: "openai",
  read: (body) => ({ chat: parseChatRequest(body) }),
  streamHeaders: {},
  brokenOff: (error) => formatFrame(error.toBody()),
};
