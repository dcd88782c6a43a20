import { expect, it } from "vitest";
import { z } from "zod";
import { measuredAttributesSchema } from "../../schema/api/attributes.ts";
import { calibrationSchema } from "../../schema/calibration.ts";
import { runningStack } from "./running-stack.ts";

const stack = runningStack();

const measuredSchema = z.object({ steer: z.object({ effective: z.object({}), measured: measuredAttributesSchema }) });
const scoresSchema = z.object({ data: z.array(z.object({ attributes: measuredAttributesSchema })) });

it("an answer that is streamed through the openai client says what it became, and scored it is the same", async () => {
  const messages = [{ role: "user" as const, content: "What is the capital of France?" }];
  const stream = stack.client().chat.completions.stream({
    ...{ model: "smollm2-135m", messages, temperature: 0 },
    steer: { measure: true },
  });
  const answer = await stream.finalChatCompletion();
  expect(answer.choices[0]?.finish_reason).toBe("stop");
  const { measured } = measuredSchema.parse(answer).steer;
  // Without --apm: what rules count.
  expect(Object.keys(measured)).toEqual(["complexity", "verbosity"]);
  const response = await stack.send("POST", "/v1/attributes/score", {
    messages,
    answer: answer.choices[0]?.message.content,
  });
  expect(scoresSchema.parse(await response.json()).data[0]?.attributes).toEqual(measured);
});

it("an example is matched to levels that a chat request takes", async () => {
  const response = await stack.send("POST", "/v1/attributes/match", { example: "Paris. It lies on the Seine." });
  const { steer } = z
    .object({ steer: z.object({ attributes: z.object({ verbosity: z.int() }) }) })
    .parse(await response.json());
  const chat = await stack.send("POST", "/v1/chat/completions", {
    ...{ model: "smollm2-135m", messages: [{ role: "user", content: "Hello" }], max_tokens: 4, steer },
  });
  expect(chat.status).toBe(200);
});

it("the model that ships says what its levels were measured to give, and one without a calibration that it has none", async () => {
  const shipped = await stack.send("GET", "/v1/models/smollm2-135m/calibration");
  expect(calibrationSchema.parse(await shipped.json()).attributes.verbosity?.steerable).toBe(true);
  const plain = await stack.send("GET", "/v1/models/smollm2-135m-base/calibration");
  expect(plain.status).toBe(404);
});
