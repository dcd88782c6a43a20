import { env } from "cloudflare:workers";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { decodeJwt, SignJWT } from "jose";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { SessionAnswer } from "../../schema/api/sessions.ts";
import { apiKeys } from "../../schema/database/tables.ts";
import { callApp, chat, clientFor, expectError, issueKey, ORIGIN, seenBy } from "./project.ts";

const PAGE = "https://shop.example";
const OTHER_PAGE = "https://shop.example.evil.test";
const CHAT = "/v1/chat/completions";

type KeyColumns = Parameters<typeof issueKey>[0];

const publishableKey = (columns: KeyColumns = {}) =>
  issueKey({ kind: "publishable", scopes: ["chat", "models:read"], origins: [PAGE], ...columns });

/** Calls as a browser does for a page of `origin`. */
function fromPage(token: string, path: string, body?: unknown, origin: string | null = PAGE, bindings = {}) {
  const headers = { authorization: `Bearer ${token}`, ...(origin !== null && { origin }) };
  return callApp(
    path,
    { headers, ...(body !== undefined && { method: "POST", body: JSON.stringify(body) }) },
    bindings,
  );
}

async function openSession(key: string, body: object = {}): Promise<SessionAnswer> {
  const response = await fromPage(key, "/v1/sessions", body);
  expect(response.status).toBe(201);
  return response.json();
}

afterEach(() => vi.useRealTimers());

describe("a publishable key", () => {
  it("is exchanged by a page for a session of at most 15 minutes", async () => {
    const response = await fromPage(await publishableKey(), "/v1/sessions", { end_user: "u1" });
    expect(response.status).toBe(201);
    expect(response.headers.get("cache-control")).toBe("no-store");
    const session = await response.json<SessionAnswer>();
    expect(session).toEqual({
      object: "session",
      token: expect.any(String),
      expires_at: expect.any(Number),
      origin: PAGE,
      end_user: "u1",
      preset: null,
    });
    expect(session.expires_at - Date.now() / 1000).toBeLessThanOrEqual(900);
    expect(session.expires_at - Date.now() / 1000).toBeGreaterThan(890);
    expect((await fromPage(session.token, CHAT, chat("hello").body)).status).toBe(200);
  });

  it("opens no session that outlives it", async () => {
    const expiresAt = Math.floor(Date.now() / 1000) + 60;
    expect((await openSession(await publishableKey({ expiresAt }))).expires_at).toBe(expiresAt);
  });

  it("opens nothing else", async () => {
    const response = await fromPage(await publishableKey(), CHAT, chat("hello").body);
    await expectError(response, 403, "permission_denied", /only opens sessions.*POST \/v1\/sessions/);
  });

  it.each([OTHER_PAGE, "http://shop.example", `${PAGE}:8443`, "https://sub.shop.example", "null", null])(
    "is refused to a page of %s, which cannot read why",
    async (origin) => {
      const response = await fromPage(await publishableKey(), "/v1/sessions", {}, origin);
      expect(response.headers.has("access-control-allow-origin")).toBe(false);
      await expectError(response, 403, "permission_denied", /does not allow requests from this origin/);
    },
  );

  it("counts each session it opens as a request", async () => {
    const key = await publishableKey({ limits: { requests: 1 } });
    await openSession(key);
    await expectError(await fromPage(key, "/v1/sessions", {}), 429, "rate_limit_exceeded", /1 requests per minute/);
  });

  it("with a typo, or revoked, is refused", async () => {
    const key = await publishableKey();
    await expectError(await fromPage(`${key.slice(0, -1)}-`, "/v1/sessions", {}), 401, "invalid_api_key", /malformed/);
    const revoked = await publishableKey({ revokedAt: 1 });
    await expectError(await fromPage(revoked, "/v1/sessions", {}), 401, "invalid_api_key", /revoked/);
  });

  it("is what sessions are opened with, not a secret one", async () => {
    const response = await fromPage(await issueKey(), "/v1/sessions", {});
    await expectError(response, 403, "permission_denied", /opened with a publishable key/);
  });

  it.each([
    ["end_user", { end_user: "" }],
    ["end_user", { end_user: "x".repeat(129) }],
    ["preset", { preset: "No Slug" }],
  ])("with a wrong %s is a 400 that names it", async (param, body) => {
    const response = await fromPage(await publishableKey(), "/v1/sessions", body);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code: "invalid_request", param } });
  });
});

describe("a session", () => {
  it("answers its own page, by name, and no other", async () => {
    const { token } = await openSession(await publishableKey());
    const own = await fromPage(token, "/v1/models");
    expect(own.status).toBe(200);
    expect(own.headers.get("access-control-allow-origin")).toBe(PAGE);
    expect(own.headers.get("vary")).toMatch(/origin/i);
    expect(own.headers.get("access-control-expose-headers")).toContain("x-request-id");
    for (const origin of [OTHER_PAGE, null]) {
      const other = await fromPage(token, "/v1/models", undefined, origin);
      expect(other.headers.has("access-control-allow-origin")).toBe(false);
      await expectError(other, 403, "permission_denied", /belongs to the page of another origin/);
    }
  });

  it("works for a page of the API's own origin, whose reads carry no Origin", async () => {
    const key = await publishableKey({ origins: [ORIGIN] });
    const { token } = await (await fromPage(key, "/v1/sessions", {}, ORIGIN)).json<SessionAnswer>();
    const read = (site: string) =>
      callApp("/v1/models", { headers: { authorization: `Bearer ${token}`, "sec-fetch-site": site } });
    expect((await read("same-origin")).status).toBe(200);
    expect((await read("cross-site")).status).toBe(403);
  });

  it("streams to its page", async () => {
    const { token } = await openSession(await publishableKey());
    const { body } = chat("hello", { stream: true });
    const response = await clientFor(token)(CHAT, body, {
      method: "POST",
      body: JSON.stringify(body),
      headers: { origin: PAGE },
    });
    expect(response.headers.get("access-control-allow-origin")).toBe(PAGE);
    expect(await response.text()).toContain("data: [DONE]");
  });

  it("is over when its time is, and its page may read that it is", async () => {
    // Opened in the past, for what is signed for the inference worker must be signed now.
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() - 900_000 });
    const { token, expires_at } = await openSession(await publishableKey());
    vi.setSystemTime(expires_at * 1000 - 1000);
    expect((await fromPage(token, "/v1/models")).status).toBe(200);
    vi.setSystemTime(expires_at * 1000);
    const over = await fromPage(token, "/v1/models");
    expect(over.headers.get("access-control-allow-origin")).toBe(PAGE);
    await expectError(over, 401, "session_expired", /Open another one/);
  });

  it("ends with its key, and with its origin's place on the key's list, within 30 seconds", async () => {
    const changes: [Partial<typeof apiKeys.$inferInsert>, number, RegExp][] = [
      [{ revokedAt: 1 }, 401, /revoked/],
      [{ expiresAt: 1 }, 401, /expired/],
      [{ origins: ["https://elsewhere.example"] }, 403, /no longer allows this origin/],
      [{ scopes: ["chat"] }, 403, /lacks the scope models:read/],
    ];
    for (const [index, [columns, status, message]] of changes.entries()) {
      vi.useRealTimers();
      const id = `key_ending_${index}`;
      const { token } = await openSession(await publishableKey({ id }));
      expect((await fromPage(token, "/v1/models")).status).toBe(200);
      await drizzle(env.DB).update(apiKeys).set(columns).where(eq(apiKeys.id, id));
      vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 30_000 });
      const response = await fromPage(token, "/v1/models");
      expect(response.status).toBe(status);
      expect(await response.json()).toMatchObject({ error: { message: expect.stringMatching(message) } });
    }
  });

  it("has its key's bounds and limits", async () => {
    const key = await publishableKey({
      bounds: { humor: { max: 1 }, toxicity: { locked: 0 } },
      limits: { requests: 2 },
    });
    const { token } = await openSession(key);
    const { body } = chat("hello", { model: "plain", steer: { attributes: { humor: 4 } } });
    const response = await fromPage(token, CHAT, body);
    expect(response.headers.get("x-ratelimit-remaining-requests")).toBe("0");
    expect(await response.json()).toMatchObject({
      steer: { effective: { toxicity: 0, humor: 1 }, clamped: [{ attribute: "humor", reason: "key_max" }] },
    });
    expect((await fromPage(token, "/v1/models")).status).toBe(429);
  });

  it("cannot be forged, altered, or brought from another server", async () => {
    const { token } = await openSession(await publishableKey());
    const [header = "", , signature = ""] = token.split(".");
    const altered = btoa(JSON.stringify({ ...decodeJwt(token), origin: OTHER_PAGE })).replaceAll("=", "");
    const unsigned = `${btoa('{"alg":"none","typ":"JWT"}').replaceAll("=", "")}.${token.split(".")[1]}.AA`;
    const foreign = await new SignJWT({ ...decodeJwt(token) })
      .setProtectedHeader({ alg: "HS256" })
      .sign(new TextEncoder().encode(env.KEY_PEPPER));
    for (const forged of [`${header}.${altered}.${signature}`, unsigned, foreign, "a.b.c"]) {
      await expectError(await fromPage(forged, "/v1/models"), 401, "invalid_api_key", /not one of this server's/);
    }
  });

  it("outlives a change of pepper, while the old one is beside the new", async () => {
    const { token } = await openSession(await publishableKey());
    const both = { KEY_PEPPER: "the new pepper", KEY_PEPPER_OTHER: env.KEY_PEPPER };
    expect((await fromPage(token, "/v1/models", undefined, PAGE, both)).status).toBe(200);
    expect((await fromPage(token, "/v1/models", undefined, PAGE, { KEY_PEPPER: "the new pepper" })).status).toBe(401);
  });

  it("never opens the admin API", async () => {
    const { token } = await openSession(await publishableKey());
    expect((await fromPage(token, "/admin/v1/projects")).status).toBe(401);
  });
});

describe("a session for a preset", () => {
  const withPresets = async (columns: KeyColumns = {}) => {
    const projectId = `proj_${crypto.randomUUID()}`;
    const owner = clientFor(await issueKey({ projectId }));
    for (const slug of ["tutor", "bard"]) await owner("/v1/presets", { slug, persona: `You are a ${slug}.` });
    return publishableKey({ projectId, ...columns });
  };

  it("uses it without naming it, and no other", async () => {
    const { token, preset } = await openSession(await withPresets(), { preset: "tutor" });
    expect(preset).toBe("tutor");
    const { text, body } = chat("hello");
    const response = await fromPage(token, CHAT, body);
    expect(await response.json()).toMatchObject({ steer: { preset: { slug: "tutor", version: 1 } } });
    expect((await seenBy(text))?.request.messages[0]).toMatchObject({ content: "You are a tutor." });
    expect((await fromPage(token, CHAT, chat("hello", { model: "steered@tutor:1" }).body)).status).toBe(200);
    const other = await fromPage(token, CHAT, chat("hello", { model: "steered@bard" }).body);
    await expectError(other, 403, "permission_denied", /This session may not use the preset bard.*limited to tutor/);
  });

  it("needs one that there is and that the key allows", async () => {
    const key = await withPresets({ presets: ["tutor"] });
    await expectError(
      await fromPage(key, "/v1/sessions", { preset: "bard" }),
      403,
      "permission_denied",
      /may not use the preset bard/,
    );
    await expectError(
      await fromPage(await withPresets(), "/v1/sessions", { preset: "none" }),
      404,
      "preset_not_found",
      /no preset none/,
    );
  });
});
