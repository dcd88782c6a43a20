import type OpenAI from "openai";
import { BadRequestError } from "openai";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { effectiveSteeringSchema } from "../../schema/steering.ts";
import { runningStack } from "./running-stack.ts";

const stack = runningStack();

const SKY = {
  model: "smollm2-135m",
  messages: [{ role: "user", content: "Explain why the sky is blue." }],
  max_tokens: 200,
} satisfies OpenAI.ChatCompletionCreateParams;

/** Attune's addition to OpenAI's answers, and to their choices. */
const steeredSchema = z.object({ steer: effectiveSteeringSchema });

describe("the openai client", () => {
  it("streams two answers to one question side by side", async () => {
    const body = { ...SKY, n: 2, seed: 3, max_tokens: 40 };
    const whole = await stack.client().chat.completions.create(body);
    const texts = ["", ""];
    const finished: unknown[] = [];
    let usage: OpenAI.CompletionUsage | null | undefined;
    const options = { stream: true as const, stream_options: { include_usage: true } };
    for await (const chunk of await stack.client().chat.completions.create({ ...body, ...options })) {
      usage = chunk.usage;
      for (const { index, delta, finish_reason } of chunk.choices) {
        texts[index] += delta.content ?? "";
        if (finish_reason === null) continue;
        finished.push(index);
        expect(steeredSchema.parse(chunk).steer.method).toBe("label_line");
      }
    }
    expect(finished.toSorted()).toEqual([0, 1]);
    expect(texts).toEqual(whole.choices.map(({ message }) => message.content));
    expect(texts[0]).not.toBe(texts[1]);
    expect(usage).toEqual(whole.usage);
    const one = await stack.client().chat.completions.create({ ...body, n: 1 });
    expect(one.choices[0]?.message.content).toBe(texts[0]);
    expect(one.usage?.prompt_tokens).toBe(usage?.prompt_tokens);
  });

  it("gets one question answered at two levels, each choice with its steering", async () => {
    const ask = (steer: object) => {
      const body: OpenAI.ChatCompletionCreateParamsNonStreaming & { steer: object } = { ...SKY, temperature: 0, steer };
      return stack.client().chat.completions.create(body);
    };
    const fanOut = await ask({ attributes: { humor: 0 }, fan_out: [{ verbosity: 0 }, { verbosity: 4 }] });
    const { choices, usage, ...answer } = fanOut;
    expect(choices.map((choice) => steeredSchema.parse(choice).steer.effective)).toEqual([
      { humor: 0, complexity: 2, verbosity: 0 },
      { humor: 0, complexity: 2, verbosity: 4 },
    ]);
    expect(answer).not.toHaveProperty("steer");
    const [short = "", long = ""] = choices.map(({ message }) => message.content ?? "");
    expect(short.length).toBeLessThan(long.length);

    const alone = await ask({ attributes: { humor: 0, verbosity: 4 } });
    expect(alone.choices[0]?.message.content).toBe(long);
    // What the two prompts share is counted once.
    expect(usage?.prompt_tokens).toBeLessThan(2 * (alone.usage?.prompt_tokens ?? 0));
  });

  it("hears how many answers there may be", async () => {
    const asked = stack.client().chat.completions.create({ ...SKY, n: 17 });
    await expect(asked).rejects.toThrow(BadRequestError);
    await expect(asked).rejects.toThrow(/n: must be from 1 to 16/);
  });
});
