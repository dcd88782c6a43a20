import { describe, expect, it } from "vitest";
import { EventScanner } from "../../../edge/generations/event-scanner.ts";
import { AttuneError } from "../../../schema/wire/errors.ts";
import { DONE_LINE, formatFrame } from "../../../schema/wire/frames.ts";

const id = { generation: "gen_abc", sequence: 1, completionTokens: 2 };
const error = new AttuneError("generation_failed", "The worker failed.");

function scan(text: string): EventScanner {
  const scanner = new EventScanner();
  scanner.push(new TextEncoder().encode(text));
  return scanner;
}

describe("a stream's ending", () => {
  it.each([
    ["chat completions", formatFrame(error.toBody())],
    ["Responses", formatFrame({ type: "response.failed", response: {} }, id, "response.failed")],
    ["UI messages", `${formatFrame({ type: "error", errorText: error.message }, id)}${DONE_LINE}\n\n`],
  ])("is known to be a failure in the dialect of %s", (_, text) => {
    expect(scan(formatFrame({ content: "a" }, id) + text)).toMatchObject({ ended: true, failed: true });
  });

  it.each([
    ["chat completions", `${formatFrame({ choices: [] }, id)}${DONE_LINE}\n\n`],
    ["Responses", formatFrame({ type: "response.incomplete", response: {} }, id, "response.incomplete")],
    ["UI messages", `${formatFrame({ type: "finish" }, id)}${DONE_LINE}\n\n`],
  ])("is known to be a good one in the dialect of %s, whatever the answer says", (_, text) => {
    const content = ['{"error"', 'data: {"type":"error"', "event: response.failed"].join("\n");
    expect(scan(formatFrame({ content }, id) + text)).toMatchObject({ ended: true, failed: false });
  });
});
