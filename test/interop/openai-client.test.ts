import { expect, it } from "vitest";
import { FIVE, tinyStack } from "../e2e/tiny-stack.ts";
import { openAiPython, run, scriptPath } from "./python.ts";

const stack = tinyStack();

it("OpenAI's client for Python gets chat completions and responses, streamed and whole, with usage, logprobs and errors", async () => {
  const extra = JSON.stringify({ ...FIVE, steer: { attributes: { verbosity: 3 } } });
  const printed = await run(openAiPython(), [scriptPath("openai_client.py"), stack.baseURL(), stack.key(), extra]);
  const steer = { verbosity: 3 };
  // Five tokens, and the one that ends them.
  expect(JSON.parse(printed)).toEqual({
    chat: { texts: ["aaaaa", "aaaaa"], logprobs: [5, 5], tokens: 12, steer },
    chunks: { text: "aaaaa", tokens: 6 },
    response: { text: "aaaaa", status: "completed", tokens: 6, logprobs: 5, steer },
    events: { text: "aaaaa", last: "response.completed", tokens: 6 },
    helped: "aaaaa",
    failures: [
      { kind: "BadRequestError", code: "unsupported_parameter", param: "background" },
      { kind: "NotFoundError", code: "model_not_found", param: "model" },
    ],
  });
});
