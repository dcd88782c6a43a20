import { describe, expect, it } from "vitest";
import { z } from "zod";
import { effectiveSteeringSchema } from "../../schema/steering.ts";
import { type Client, chat, newProject, seenBy } from "./project.ts";

const PATH = "/v1/chat/completions";

const completionSchema = z.object({
  choices: z.array(z.object({ index: z.number(), steer: effectiveSteeringSchema.optional() })),
  usage: z.object({ prompt_tokens: z.number(), completion_tokens: z.number() }),
  steer: effectiveSteeringSchema.optional(),
});

const remaining = async (call: Client) =>
  Number((await call("/v1/models")).headers.get("x-ratelimit-remaining-tokens"));

describe("n answers", () => {
  it("are asked of the worker at once, steered alike", async () => {
    const call = await newProject();
    const { text, body } = chat("hello", { n: 3, steer: { attributes: { verbosity: 3 } } });
    const answer = completionSchema.parse(await (await call(PATH, body)).json());
    expect(answer.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(answer.choices.every(({ steer }) => steer === undefined)).toBe(true);
    expect(answer.steer?.effective).toMatchObject({ verbosity: 3 });
    expect((await seenBy(text))?.request).toMatchObject({ n: 3, steering: { effective: { verbosity: 3 } } });
  });

  it("reserve max_tokens each, and are charged the sum of what they used", async () => {
    const call = await newProject({ tokens: 1000 });
    const response = await call(PATH, chat("hello", { n: 3, max_tokens: 200 }).body);
    const left = Number(response.headers.get("x-ratelimit-remaining-tokens"));
    expect(left).toBeLessThanOrEqual(1000 - 3 * 200);
    expect(left).toBeGreaterThan(1000 - 4 * 200);
    expect((await response.json()) as object).toMatchObject({ usage: { prompt_tokens: 3, completion_tokens: 15 } });
    await expect.poll(() => remaining(call)).toBe(1000 - 3 - 15);
  });

  it("are refused for good where they cannot all fit the key's limit", async () => {
    const call = await newProject({ tokens: 1000 });
    const refused = await call(PATH, chat("hello", { n: 5, max_tokens: 200 }).body);
    expect(refused.status).toBe(429);
    expect(refused.headers.get("x-should-retry")).toBe("false");
    expect(await refused.json()).toMatchObject({
      error: { code: "rate_limit_exceeded", message: expect.stringMatching(/never succeed.*fewer answers/) },
    });
    expect((await call(PATH, chat("hello", { n: 4, max_tokens: 200 }).body)).status).toBe(200);
  });

  it("that are streamed and left are charged what all of them had", async () => {
    const call = await newProject({ tokens: 10_000 });
    const { text, body } = chat("slow", { n: 3, stream: true });
    const reader = (await call(PATH, body)).body?.getReader();
    for (let streamed = ""; !streamed.includes('" 3"'); ) {
      const { value, done } = (await reader?.read()) ?? { done: true };
      if (done) throw new Error(`ended early: ${streamed}`);
      streamed += new TextDecoder().decode(value, { stream: true });
    }
    await reader?.cancel();
    await expect.poll(() => seenBy(text)).toMatchObject({ state: "cancelled", cancels: 1 });
    const seen = await seenBy(text);
    expect(seen?.usage.completion_tokens).toBeGreaterThanOrEqual(10);
    await expect.poll(async () => 10_000 - (await remaining(call))).toBe(seen?.usage.total_tokens);
  });

  it("are charged what was written where the worker breaks off", async () => {
    const call = await newProject({ tokens: 10_000 });
    await (await call(PATH, chat("dies", { n: 2, stream: true }).body)).text();
    await expect.poll(async () => 10_000 - (await remaining(call))).toBe(3 + 3);
  });

  it.each([
    ["n", { n: 17 }, /1 to 16/],
    ["n", { n: 2, steer: { fan_out: [{}, {}, {}] } }, /steer\.fan_out, which is 3/],
    ["steer.fan_out", { steer: { fan_out: [] } }, /1 to 16/],
    ["steer.fan_out.1.humor", { steer: { fan_out: [{}, { humor: 7 }] } }, /0 to 4/],
  ])("with a wrong %s are a 400 that says what is right", async (param, fields, message) => {
    const call = await newProject();
    const response = await call(PATH, chat("hello", fields).body);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: { code: "invalid_request", param, message: expect.stringMatching(message) },
    });
  });
});

describe("a fan-out", () => {
  const fan_out = [{ verbosity: 0 }, { verbosity: 4, toxicity: 3 }];

  it("clamps every choice by itself, and each says what was applied", async () => {
    const call = await newProject();
    const bounds = { verbosity: { max: 2 }, toxicity: { locked: 0 } };
    await call("/v1/presets", { slug: "tutor", bounds });
    const { body } = chat("hello", { model: "steered@tutor", steer: { attributes: { helpfulness: 3 }, fan_out } });
    const answer = completionSchema.parse(await (await call(PATH, body)).json());
    expect(answer.steer).toBeUndefined();
    expect(answer.choices).toMatchObject([
      { index: 0, steer: { effective: { toxicity: 0, helpfulness: 3, verbosity: 0 }, clamped: [] } },
      {
        index: 1,
        steer: {
          effective: { toxicity: 0, helpfulness: 3, verbosity: 2 },
          clamped: [
            { attribute: "toxicity", requested: 3, applied: 0, reason: "preset_locked" },
            { attribute: "verbosity", requested: 4, applied: 2, reason: "preset_max" },
          ],
        },
      },
    ]);
  });

  it("says so in each choice's last chunk of a stream", async () => {
    const call = await newProject();
    const { text, body } = chat("hello", { stream: true, n: 2, steer: { fan_out } });
    const lines = (await (await call(PATH, body)).text()).split("\n").filter((line) => line.startsWith("data: {"));
    const finish = lines.map((line) => JSON.parse(line.slice(6))).slice(-2);
    expect(finish).toMatchObject([
      { choices: [{ index: 0, finish_reason: "stop", steer: { effective: { verbosity: 0 } } }] },
      { choices: [{ index: 1, finish_reason: "stop", steer: { effective: { verbosity: 4 } } }] },
    ]);
    expect(finish.some((chunk) => "steer" in chunk)).toBe(false);
    expect((await seenBy(text))?.request.fan_out).toHaveLength(2);
  });

  it("reserves the conversation once, and max_tokens for each choice", async () => {
    const reserved = async (fields: object) => {
      const call = await newProject({ tokens: 100_000 });
      const { body } = chat("hello", { max_tokens: 50, ...fields });
      const long = { ...body, messages: [{ role: "user", content: "hello ".repeat(5000) }, ...body.messages] };
      return 100_000 - Number((await call(PATH, long)).headers.get("x-ratelimit-remaining-tokens"));
    };
    const one = await reserved({});
    const two = await reserved({ steer: { fan_out } });
    expect(two - one).toBeGreaterThan(50);
    expect(two - one).toBeLessThan(200);
  });
});
