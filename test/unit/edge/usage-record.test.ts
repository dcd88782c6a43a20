import { describe, expect, it } from "vitest";
import { type GenerationEnding, recordOf, tokensOf } from "../../../edge/usage/usage-record.ts";
import { generateRequestSchema } from "../../../schema/wire/generate.ts";

const request = generateRequestSchema.parse({
  generation: "gen_12345678",
  dialect: "openai",
  model: "steered",
  messages: [{ role: "user", content: "Hello" }],
  steering: { effective: { verbosity: 2 }, method: "words", preset: null, clamped: [], not_trained: [], note: null },
  sampling: { temperature: 1, top_p: 1, top_k: 0, min_p: 0 },
  stream: true,
  include_usage: false,
});
const asked = {
  principal: { projectId: "proj_a", keyId: "key_a", session: null },
  request,
  requestId: "req_a",
  startedAt: 10_250,
  endedAt: 11_000,
};
const ending: GenerationEnding = {
  state: "completed",
  error: null,
  promptTokens: 12,
  completionTokens: 7,
  firstByteAt: 10_400,
};

describe("a usage record", () => {
  it("counts time from the request's arrival", () => {
    expect(recordOf(asked, ending)).toMatchObject({ createdAt: 10, firstByteMs: 150, durationMs: 750 });
    expect(recordOf(asked, { ...ending, firstByteAt: null }).firstByteMs).toBeNull();
  });

  it("is never of negative time where a clock was set back", () => {
    const setBack = recordOf({ ...asked, endedAt: 9_000 }, { ...ending, firstByteAt: 9_500 });
    expect(setBack).toMatchObject({ firstByteMs: 0, durationMs: 0 });
  });

  it("says where nobody knows what was used, and what is known all the same", () => {
    const unknown = { ...ending, promptTokens: null };
    expect(tokensOf(ending)).toBe(19);
    expect(tokensOf(unknown)).toBeNull();
    expect(recordOf(asked, unknown)).toMatchObject({ promptTokens: 0, completionTokens: 7, usageKnown: false });
  });

  it("names no levels where each choice has its own", () => {
    expect(recordOf(asked, ending)).toMatchObject({ choices: 1, attributes: { verbosity: 2 } });
    const fannedOut = { ...request, n: 2, fan_out: [request.steering, request.steering] };
    expect(recordOf({ ...asked, request: fannedOut }, ending)).toMatchObject({ choices: 2, attributes: null });
  });
});
