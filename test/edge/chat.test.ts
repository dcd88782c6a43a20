import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { app } from "../../edge/app.ts";
import { chat, issueKey, newProject, ORIGIN, seenBy } from "./project.ts";

const PATH = "/v1/chat/completions";

describe("a chat completion", () => {
  it("is the worker's answer, with exact usage and the steering that was applied", async () => {
    const call = await newProject();
    const { text, body } = chat("hello", { steer: { attributes: { verbosity: 3, humor: 2 } }, seed: 7, stop: "END" });
    const response = await call(PATH, body);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(await response.json()).toMatchObject({
      object: "chat.completion",
      choices: [{ message: { role: "assistant", content: "Grüß dich, 世界 👋🏽!" }, finish_reason: "stop" }],
      usage: { prompt_tokens: 3, completion_tokens: 5, total_tokens: 8 },
      steer: {
        effective: { toxicity: 0, helpfulness: 4, verbosity: 3 },
        method: "label_line",
        not_trained: ["humor"],
        clamped: [],
      },
    });
    expect((await seenBy(text))?.request).toMatchObject({
      generation: expect.stringMatching(/^gen_[0-9A-Za-z]{24}$/),
      model: "steered",
      messages: [{ role: "user", content: text }],
      sampling: { seed: 7, stop: ["END"], max_tokens: 50 },
      stream: false,
      include_usage: false,
    });
  });

  it("steers a model without a profile in words, and says so", async () => {
    const call = await newProject();
    const response = await call(PATH, chat("hello", { model: "plain", steer: { attributes: { humor: 4 } } }).body);
    expect(await response.json()).toMatchObject({
      steer: { method: "words", effective: { humor: 4 }, note: expect.stringContaining("in words") },
    });
  });

  it.each([
    ["model", { model: "steered@" }],
    ["messages", { messages: [] }],
    ["steer.attributes.humor", { steer: { attributes: { humor: 5 } } }],
    ["steer.attributes.humor", { steer: { attributes: { humor: "2" } } }],
    ["temperature", { temperature: -1 }],
    ["max_tokens", { max_tokens: 0 }],
  ])("with a wrong %s is a 400 that names it", async (param, fields) => {
    const call = await newProject();
    const response = await call(PATH, chat("hello", fields).body);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: { type: "invalid_request_error", code: "invalid_request", param },
    });
  });

  it("with a parameter that cannot be honoured is a 400 that names it", async () => {
    const call = await newProject();
    const response = await call(PATH, chat("hello", { tools: [{ type: "function" }] }).body);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code: "unsupported_parameter", param: "tools" } });
  });

  it("of an unknown model is a 404 that names the served ones", async () => {
    const call = await newProject();
    const response = await call(PATH, chat("hello", { model: "gpt-4" }).body);
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({
      error: { code: "model_not_found", param: "model", message: expect.stringMatching(/"gpt-4".*steered, plain/) },
    });
  });
});

describe("a preset in a chat request", () => {
  const TUTOR = {
    slug: "tutor",
    persona: "You are a tutor.",
    attributes: { verbosity: 1 },
    bounds: { verbosity: { max: 2 }, toxicity: { locked: 0 } },
  };

  it.each([{ model: "steered@tutor" }, { steer: { preset: "tutor" } }, { model: "steered@tutor:1" }])(
    "as %j brings persona, levels and bounds, and every clamp is explained",
    async (fields) => {
      const call = await newProject();
      await call("/v1/presets", TUTOR);
      const attributes = { verbosity: 4, toxicity: 3 };
      const steer = "steer" in fields ? { ...fields.steer, attributes } : { attributes };
      const { text, body } = chat("hello", { ...fields, steer });
      const response = await call(PATH, body);
      expect(await response.json()).toMatchObject({
        model: "steered",
        steer: {
          effective: { toxicity: 0, helpfulness: 4, verbosity: 2 },
          preset: { slug: "tutor", version: 1 },
          clamped: [
            { attribute: "toxicity", requested: 3, applied: 0, reason: "preset_locked" },
            { attribute: "verbosity", requested: 4, applied: 2, reason: "preset_max" },
          ],
        },
      });
      expect((await seenBy(text))?.request.messages[0]).toEqual({ role: "system", content: "You are a tutor." });
    },
  );

  it("that does not exist is a 404", async () => {
    const call = await newProject();
    const missing = await call(PATH, chat("hello", { model: "steered@tutor" }).body);
    expect(missing.status).toBe(404);
    expect(await missing.json()).toMatchObject({ error: { code: "preset_not_found", param: "model" } });
  });

  it("of another project is as good as none", async () => {
    await (await newProject())("/v1/presets", TUTOR);
    const stranger = await newProject();
    expect((await stranger(PATH, chat("hello", { model: "steered@tutor" }).body)).status).toBe(404);
  });

  it("named twice and differently is a 400", async () => {
    const call = await newProject();
    const response = await call(PATH, chat("hello", { model: "steered@a", steer: { preset: "b" } }).body);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { param: "steer.preset" } });
  });
});

describe("a worker that does not serve", () => {
  it.each([
    ["queue-full", 429, "queue_full", "3"],
    ["too-long", 400, "context_length_exceeded", null],
    ["draining", 503, "worker_unavailable", "7"],
    ["too-late", 504, "deadline_exceeded", null],
  ])("refuses (%s) in its own words", async (behaviour, status, code, retryAfter) => {
    const call = await newProject();
    for (const stream of [true, false]) {
      const response = await call(PATH, chat(behaviour, { stream }).body);
      expect(response.status).toBe(status);
      expect(response.headers.get("retry-after")).toBe(retryAfter);
      expect(await response.json()).toMatchObject({ error: { code, param: "messages" } });
    }
  });

  it("in time is not asked again by OpenAI's clients", async () => {
    const call = await newProject();
    const { text, body } = chat("too-late", { deadline_ms: 1500, service_tier: "flex" });
    const response = await call(PATH, body);
    expect(response.headers.get("x-should-retry")).toBe("false");
    expect((await seenBy(text))?.request).toMatchObject({ deadline_ms: 1500, service_tier: "flex", priority: 1 });
  });

  it("and breaks before it starts is a 503, without its inner text", async () => {
    const call = await newProject();
    const response = await call(PATH, chat("explodes").body);
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("5");
    const text = await response.text();
    expect(text).toContain("worker_unavailable");
    expect(text).not.toContain("stack trace");
  });

  it("and fails half-way says so, and what was generated counts", async () => {
    const call = await newProject({ tokens: 1000 });
    const response = await call(PATH, chat("fails").body);
    expect(response.status).toBe(500);
    expect(await response.json()).toMatchObject({ error: { code: "generation_failed" } });
    const remaining = async () => (await call("/v1/models")).headers.get("x-ratelimit-remaining-tokens");
    await expect.poll(remaining).toBe(String(1000 - 3 - 2));
  });

  it.each([
    ["unreachable", { WORKER_URL: "http://127.0.0.1:1" }],
    ["under another secret", { WORKER_SECRET: "not the secret" }],
  ])("%s is a 503 with Retry-After, and costs no tokens", async (_, overrides) => {
    const key = await issueKey({ limits: { tokens: 1000 } });
    const fetchWith = async (bindings: Partial<Cloudflare.Env>, path: string, init: RequestInit = {}) => {
      const context = createExecutionContext();
      const request = new Request(ORIGIN + path, { ...init, headers: { authorization: `Bearer ${key}` } });
      const response = await app.fetch(request, { ...env, ...bindings }, context);
      await waitOnExecutionContext(context);
      return response;
    };
    const body = JSON.stringify(chat("hello").body);
    const response = await fetchWith(overrides, PATH, { method: "POST", body });
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("5");
    const answer = await response.text();
    expect(JSON.parse(answer)).toMatchObject({ error: { type: "server_error", code: "worker_unavailable" } });
    for (const secret of [env.WORKER_SECRET, "127.0.0.1", "signature"]) expect(answer).not.toContain(secret);
    expect((await fetchWith({}, "/v1/models")).headers.get("x-ratelimit-remaining-tokens")).toBe("1000");
  });
});
