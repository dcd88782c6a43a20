import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { app } from "../../edge/app.ts";
import { createKey, createProject } from "./administration.ts";
import { callApp, chat, issueKey, newProject, ORIGIN, seenBy } from "./project.ts";

const CHAT = "/v1/chat/completions";
const PAGE = "https://shop.example";
const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";
const TRACEPARENT = `00-${TRACE}-${SPAN}-01`;

/** Everything that was written to the log. */
let logged: string[] = [];
beforeEach(() => {
  logged = [];
  for (const level of ["log", "error", "warn", "info"] as const) {
    vi.spyOn(console, level).mockImplementation((...parts) => void logged.push(parts.map(String).join(" ")));
  }
});
afterEach(() => vi.restoreAllMocks());

const requestLines = () =>
  logged.map((line) => JSON.parse(line)).filter((line): line is Record<string, unknown> => line.event === "request");

const post = (key: string, body: object, headers: Record<string, string> = {}): RequestInit => ({
  method: "POST",
  body: JSON.stringify(body),
  headers: { authorization: `Bearer ${key}`, ...headers },
});

/** Calls the Worker, reads its whole answer, and waits for what it does after that. */
async function ask(path: string, init: RequestInit, bindings: Partial<Cloudflare.Env> = {}): Promise<void> {
  const context = createExecutionContext();
  const response = await app.fetch(new Request(ORIGIN + path, init), { ...env, ...bindings }, context);
  await response.text();
  await waitOnExecutionContext(context);
}

describe("a request's trace", () => {
  it("goes on where the caller began it, through to the inference worker", async () => {
    const call = await newProject();
    const { text, body } = chat("hello");
    const headers = { traceparent: TRACEPARENT, tracestate: "rojo=1,congo=t61" };
    const response = await call(CHAT, body, { method: "POST", headers });
    const answered = response.headers.get("traceresponse");
    expect(answered).toMatch(new RegExp(`^00-${TRACE}-[0-9a-f]{16}-01$`));
    const seen = await seenBy(text);
    expect(seen?.headers.traceparent).toMatch(new RegExp(`^00-${TRACE}-[0-9a-f]{16}-01$`));
    expect(seen?.headers.tracestate).toBe("rojo=1,congo=t61");
    // Three spans: the caller's, the edge's, and the edge's call of the worker.
    expect(new Set([TRACEPARENT, answered, seen?.headers.traceparent]).size).toBe(3);
  });

  it.each(["nonsense", `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`, `00-${"0".repeat(32)}-${SPAN}-01`])(
    "begins anew where the caller's is malformed: %s",
    async (traceparent) => {
      const call = await newProject();
      const { text, body } = chat("hello");
      const response = await call(CHAT, body, { method: "POST", headers: { traceparent, tracestate: "rojo=1" } });
      const trace = /^00-([0-9a-f]{32})-[0-9a-f]{16}-00$/.exec(response.headers.get("traceresponse") ?? "")?.[1];
      expect(trace).not.toBe(TRACE);
      const seen = await seenBy(text);
      expect(seen?.headers.traceparent).toContain(trace);
      expect(seen?.headers.tracestate).toBeUndefined();
    },
  );

  it("is answered on every route, refusals too", async () => {
    for (const path of ["/v1/models", "/v1/nothing", "/admin/v1/projects"]) {
      const response = await callApp(path, { headers: { traceparent: TRACEPARENT } });
      expect(response.headers.get("traceresponse")).toContain(TRACE);
    }
  });
});

describe("Server-Timing", () => {
  it("says what each phase took, to pages too", async () => {
    const call = await newProject();
    const response = await call(CHAT, chat("hello").body, { method: "POST", headers: { origin: PAGE } });
    expect(response.headers.get("server-timing")).toMatch(
      /^auth;dur=\d+, plan;dur=\d+, limits;dur=\d+, upstream;dur=\d+, total;dur=\d+$/,
    );
    expect(response.headers.get("timing-allow-origin")).toBe("*");
    const exposed = response.headers.get("access-control-expose-headers")?.toLowerCase().split(/, ?/);
    expect(exposed).toEqual(expect.arrayContaining(["server-timing", "traceresponse"]));
  });

  it("has no phase that a route did not come to", async () => {
    const response = await (await newProject())("/v1/models");
    expect(response.headers.get("server-timing")).toMatch(/^auth;dur=\d+, limits;dur=\d+, total;dur=\d+$/);
    const refused = await callApp("/v1/models", { headers: { authorization: "Bearer sk_wrong" } });
    expect(refused.headers.get("server-timing")).toMatch(/^auth;dur=\d+, total;dur=\d+$/);
  });

  it("of a session's answer is for its page alone", async () => {
    const key = await issueKey({ kind: "publishable", origins: [PAGE] });
    const opened = await callApp("/v1/sessions", post(key, {}, { origin: PAGE }));
    expect(opened.headers.get("timing-allow-origin")).toBe(PAGE);
    const refused = await callApp("/v1/sessions", post(key, {}, { origin: "https://other.example" }));
    expect(refused.headers.has("timing-allow-origin")).toBe(false);
  });
});

describe("the log", () => {
  it("has one line of JSON for a generation, with what it used and how long it took", async () => {
    const { project, id, secret } = await createKey(await createProject());
    logged = [];
    const { body } = chat("hello", { stream: true });
    await ask(CHAT, post(secret, body, { traceparent: TRACEPARENT, "x-request-id": "req_of_mine" }));
    expect(requestLines()).toHaveLength(1);
    expect(requestLines()[0]).toMatchObject({
      event: "request",
      request_id: "req_of_mine",
      trace_id: TRACE,
      method: "POST",
      route: CHAT,
      status: 200,
      error: null,
      project,
      key: id,
      generation: expect.stringMatching(/^gen_/),
      model: "steered",
      preset: null,
      stream: true,
      state: "completed",
      prompt_tokens: 3,
      completion_tokens: 5,
      usage_known: true,
    });
    for (const field of ["duration_ms", "auth_ms", "plan_ms", "limits_ms", "upstream_ms", "first_byte_ms"]) {
      expect(requestLines()[0]?.[field]).toBeGreaterThanOrEqual(0);
    }
  });

  it("names the error, and the route instead of the path", async () => {
    const key = await issueKey();
    await callApp(`/v1/presets/${key}`, { headers: { authorization: `Bearer ${key}` } });
    await callApp(`/v1/${key}?q=${key}`, { headers: { authorization: `Bearer ${key}` } });
    await callApp(CHAT, post(key, chat("queue-full").body));
    expect(requestLines().map(({ route, status, error }) => [route, status, error])).toEqual([
      ["/v1/presets/:slug", 404, "preset_not_found"],
      [null, 404, "not_found"],
      [CHAT, 429, "queue_full"],
    ]);
    expect(logged.join("\n")).not.toContain(key);
  });

  it("has only what went wrong, where REQUEST_LOG says so", async () => {
    const key = await issueKey();
    for (const behaviour of ["hello", "fails", "queue-full"]) {
      await ask(CHAT, post(key, chat(behaviour, { stream: true }).body), { REQUEST_LOG: "errors" });
    }
    expect(requestLines().map(({ status, error }) => [status, error])).toEqual([
      [200, "generation_failed"],
      [429, "queue_full"],
    ]);
  });

  it("holds nothing of what was asked or answered, no key, no end user, whatever becomes of the request", async () => {
    const page = await issueKey({ kind: "publishable", origins: [PAGE], scopes: ["chat"] });
    const opened = await callApp("/v1/sessions", post(page, { end_user: "ann@private.example" }, { origin: PAGE }));
    const { token } = await opened.json<{ token: string }>();
    for (const behaviour of ["hello", "fails", "dies", "explodes", "too-long", "queue-full"]) {
      for (const stream of [true, false]) {
        const { body } = chat(`${behaviour} my-secret-words`, { stream });
        await ask(CHAT, post(token, body, { origin: PAGE }));
      }
    }
    await callApp(CHAT, post(token, { model: "my-secret-words", messages: "my-secret-words" }, { origin: PAGE }));
    await callApp(CHAT, { method: "POST", body: "my-secret-words{", headers: { authorization: `Bearer ${page}` } });
    expect(requestLines()).toHaveLength(15);
    const log = logged.join("\n");
    for (const secret of [
      "my-secret-words",
      "Grüß",
      page,
      token,
      "private.example",
      env.WORKER_SECRET,
      env.KEY_PEPPER,
    ]) {
      expect(log).not.toContain(secret);
    }
  });

  it("cannot be written to by a request: every line is one object", async () => {
    const forged = '{"event":"request","status":200}';
    const key = await issueKey();
    const headers = { "x-request-id": encodeURIComponent(`x\n${forged}`), traceparent: `${TRACEPARENT} ${forged}` };
    await callApp(`/v1/%0A${encodeURIComponent(forged)}`, { headers: { ...headers, authorization: `Bearer ${key}` } });
    await callApp(CHAT, post(key, { model: `\n${forged}`, messages: [] }, headers));
    expect(requestLines()).toHaveLength(2);
    for (const line of logged) {
      expect(line).not.toMatch(/[\r\n\u2028\u2029]/);
      expect(line).not.toContain(forged);
    }
  });
});
