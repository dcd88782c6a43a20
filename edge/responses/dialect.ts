import { formatFrame } from "../../schema/wire/frames.ts";
import type { Dialect } from "../generations/dialect.ts";
import { readResponsesRequest } from "./request.ts";

/** OpenAI's Responses, about text. */
export const RESPONSES: Dialect = {
  name: "responses",
  read: readResponsesRequest,
  streamHeaders: {},
  brokenOff: (error, sequence) =>
    formatFrame({ type: "error", sequence_number: sequence, ...error.toBody() }, undefined, "error"),
};
