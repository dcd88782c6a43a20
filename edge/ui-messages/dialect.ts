import { DONE_LINE, formatFrame } from "../../schema/wire/frames.ts";
import type { Dialect } from "../generations/dialect.ts";
import { readUiRequest } from "./request.ts";

/** The AI SDK's UI message stream, as `useChat` reads it. */
export const UI_MESSAGES: Dialect = {
  name: "ui-message",
  read: readUiRequest,
  streamHeaders: { "x-vercel-ai-ui-message-stream": "v1" },
  brokenOff: (error) => {
    const isCancelled = error.code === "generation_cancelled";
    const part = isCancelled ? { type: "abort", reason: error.message } : { type: "error", errorText: error.message };
    return `${formatFrame(part)}${DONE_LINE}\n\n`;
  },
};
