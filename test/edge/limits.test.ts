import { evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { chat, clientFor, issueKey, newProject } from "./project.ts";

describe("requests per minute", () => {
  it("are counted on every route, told in every answer, and refused beyond the limit", async () => {
    const call = await newProject({ requests: 3 });
    const first = await call("/v1/models");
    expect(Object.fromEntries(first.headers)).toMatchObject({
      "x-ratelimit-limit-requests": "3",
      "x-ratelimit-remaining-requests": "2",
      "x-ratelimit-reset-requests": "1m0s",
      "x-ratelimit-limit-tokens": "1000000",
      "x-ratelimit-remaining-tokens": "1000000",
      "x-ratelimit-reset-tokens": "0s",
      ratelimit: '"key-requests";r=2;t=60, "key-tokens";r=1000000;t=0',
      "ratelimit-policy": '"key-requests";q=3;w=60, "key-tokens";q=1000000;w=60;qu="tokens"',
    });
    const wrong = await call("/v1/chat/completions", { model: "steered", messages: [] });
    expect(wrong.status).toBe(400);
    expect(wrong.headers.get("x-ratelimit-remaining-requests")).toBe("1");
    await call("/v1/presets");

    const refused = await call("/v1/attributes");
    expect(refused.status).toBe(429);
    const seconds = Number(refused.headers.get("retry-after"));
    expect(seconds).toBeGreaterThan(50);
    expect(seconds).toBeLessThanOrEqual(60);
    expect(Math.ceil(Number(refused.headers.get("retry-after-ms")) / 1000)).toBe(seconds);
    expect(refused.headers.get("x-should-retry")).toBe("true");
    expect(refused.headers.get("x-ratelimit-remaining-requests")).toBe("0");
    expect(await refused.json()).toEqual({
      error: {
        message: expect.stringMatching(/limited to 3 requests per minute\. Try again in \d+ s/),
        type: "rate_limit_error",
        param: null,
        code: "rate_limit_exceeded",
      },
    });
    expect((await call("/v1/nothing")).status).toBe(429);
    expect((await call("/v1/chat/completions", chat("hello").body)).status).toBe(429);
  });

  it("of many requests at once admit exactly as many as the limit", async () => {
    const call = await newProject({ requests: 5 });
    const answers = await Promise.all(Array.from({ length: 12 }, () => call("/v1/models")));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(5);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(7);
  });

  it("are each key's own, also within a project", async () => {
    const projectId = "proj_limits";
    const calls = [1, 1].map(async (requests) => clientFor(await issueKey({ projectId, limits: { requests } })));
    for (const call of await Promise.all(calls)) {
      expect((await call("/v1/models")).status).toBe(200);
      expect((await call("/v1/models")).status).toBe(429);
    }
  });

  it("are remembered when the Durable Object is evicted", async () => {
    const projectId = "proj_evicted";
    const call = clientFor(await issueKey({ projectId, limits: { requests: 1 } }));
    await call("/v1/models");
    await evictDurableObject(env.PROJECT_LIMITER.getByName(projectId));
    expect((await call("/v1/models")).status).toBe(429);
  });
});

describe("tokens per minute", () => {
  const remaining = async (call: Awaited<ReturnType<typeof newProject>>) =>
    Number((await call("/v1/models")).headers.get("x-ratelimit-remaining-tokens"));

  it("are reserved for prompt and answer, then settled on what was used", async () => {
    const call = await newProject({ tokens: 1000 });
    const response = await call("/v1/chat/completions", chat("hello", { max_tokens: 500 }).body);
    expect(Number(response.headers.get("x-ratelimit-remaining-tokens"))).toBeLessThan(500);
    const { usage } = await response.json<{ usage: { total_tokens: number } }>();
    await expect.poll(() => remaining(call)).toBe(1000 - usage.total_tokens);
  });

  it("are refused while others hold the reservation, with the wait", async () => {
    const call = await newProject({ tokens: 1000 });
    const silent = await call("/v1/chat/completions", chat("silent", { max_tokens: 700, stream: true }).body);
    const refused = await call("/v1/chat/completions", chat("hello", { max_tokens: 700 }).body);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(await refused.json()).toMatchObject({
      error: { code: "rate_limit_exceeded", message: expect.stringMatching(/1000 tokens per minute.*Try again in/) },
    });
    await silent.body?.cancel();
  });

  it("that a request needs beyond the limit itself are refused for good", async () => {
    const call = await newProject({ tokens: 100 });
    const refused = await call("/v1/chat/completions", chat("hello", { max_tokens: 101 }).body);
    expect(refused.status).toBe(429);
    expect(refused.headers.get("x-should-retry")).toBe("false");
    expect(refused.headers.has("retry-after")).toBe(false);
    expect(await refused.json()).toMatchObject({
      error: { message: expect.stringMatching(/can never succeed.*max_tokens/) },
    });
  });

  it("are given back whole where the worker refused before any work", async () => {
    const call = await newProject({ tokens: 1000 });
    const refused = await call("/v1/chat/completions", chat("queue-full", { max_tokens: 500 }).body);
    expect(refused.status).toBe(429);
    await expect.poll(() => remaining(call)).toBe(1000);
  });
});
