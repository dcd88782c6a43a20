import { env } from "cloudflare:workers";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { afterEach, describe, expect, it, vi } from "vitest";
import { hashKey, pepperIdOf } from "../../edge/auth/key.ts";
import { apiKeys } from "../../schema/database/tables.ts";
import { callApp, chat, clientFor, expectError, issueKey, keyRow, seenBy } from "./project.ts";

const CHAT = "/v1/chat/completions";
const seconds = () => Math.floor(Date.now() / 1000);

const listModels = (key: string, bindings: Partial<Cloudflare.Env> = {}) =>
  callApp("/v1/models", { headers: { authorization: `Bearer ${key}` } }, bindings);

const change = (id: string, columns: Partial<typeof apiKeys.$inferInsert>) =>
  drizzle(env.DB).update(apiKeys).set(columns).where(eq(apiKeys.id, id)).run();

afterEach(() => vi.useRealTimers());

describe("a key's time", () => {
  it("ends to the second, also where an isolate remembers the key", async () => {
    const now = seconds();
    const key = await issueKey({ expiresAt: now + 20 });
    vi.useFakeTimers({ toFake: ["Date"], now: now * 1000 });
    expect((await listModels(key)).status).toBe(200);
    vi.setSystemTime((now + 19) * 1000);
    expect((await listModels(key)).status).toBe(200);
    vi.setSystemTime((now + 20) * 1000);
    await expectError(await listModels(key), 401, "invalid_api_key", /has expired/);
  });

  it("is over at the latest 30 seconds after its revocation, everywhere", async () => {
    const now = Date.now();
    const key = await issueKey({ id: "key_revoked" });
    vi.useFakeTimers({ toFake: ["Date"], now });
    expect((await listModels(key)).status).toBe(200);
    await change("key_revoked", { revokedAt: seconds() });
    vi.setSystemTime(now + 30_000);
    await expectError(await listModels(key), 401, "invalid_api_key", /was revoked/);
  });
});

describe("a key's scopes", () => {
  it.each([
    ["chat", "POST", CHAT],
    ["models:read", "GET", "/v1/models"],
    ["models:read", "GET", "/v1/models/plain"],
    ["models:read", "GET", "/v1/attributes"],
    ["presets:read", "GET", "/v1/presets"],
    ["presets:read", "GET", "/v1/presets/tutor"],
    ["presets:write", "POST", "/v1/presets"],
    ["presets:write", "PUT", "/v1/presets/tutor"],
    ["presets:write", "DELETE", "/v1/presets/tutor"],
  ] as const)("without %s refuse %s %s", async (scope, method, path) => {
    const all = ["chat", "models:read", "presets:read", "presets:write"] as const;
    const call = clientFor(await issueKey({ scopes: all.filter((other) => other !== scope) }));
    const body = method === "GET" || method === "DELETE" ? {} : { body: "{}" };
    const response = await call(path, undefined, { method, ...body });
    await expectError(response, 403, "permission_denied", new RegExp(`lacks the scope ${scope}`));
  });

  it("let through what they name", async () => {
    const call = clientFor(await issueKey({ scopes: ["chat"] }));
    expect((await call(CHAT, chat("hello").body)).status).toBe(200);
  });
});

describe("a key limited to some models", () => {
  it("lists and uses them only, and is told which they are", async () => {
    const call = clientFor(await issueKey({ models: ["plain"] }));
    expect(await (await call("/v1/models")).json()).toMatchObject({ data: [{ id: "plain" }] });
    const { data } = await (await call("/v1/attributes")).json<{ data: { defaults: object }[] }>();
    expect(Object.keys(data[0]?.defaults ?? {})).toEqual(["plain"]);
    expect((await call("/v1/models/plain")).status).toBe(200);
    expect((await call(CHAT, chat("hello", { model: "plain" }).body)).status).toBe(200);
    const message = /may not use the model "steered".*limited to plain/;
    await expectError(await call("/v1/models/steered"), 403, "permission_denied", message, "model");
    await expectError(await call(CHAT, chat("hello").body), 403, "permission_denied", message, "model");
  });

  it("counts requests for others against its limits", async () => {
    const call = clientFor(await issueKey({ models: ["plain"], limits: { requests: 1 } }));
    expect((await call(CHAT, chat("hello").body)).status).toBe(403);
    expect((await call("/v1/models")).status).toBe(429);
  });
});

describe("a key limited to some presets", () => {
  const projectWithPresets = async () => {
    const projectId = `proj_${crypto.randomUUID()}`;
    const colleague = clientFor(await issueKey({ projectId }));
    for (const slug of ["tutor", "bard"]) await colleague("/v1/presets", { slug, persona: `You are a ${slug}.` });
    return clientFor(await issueKey({ projectId, presets: ["tutor"] }));
  };

  it("uses them only, and always one of them", async () => {
    const call = await projectWithPresets();
    const allowed = chat("hello", { model: "steered@tutor" });
    expect((await call(CHAT, allowed.body)).status).toBe(200);
    expect((await seenBy(allowed.text))?.request.messages[0]).toMatchObject({ content: "You are a tutor." });
    await expectError(
      await call(CHAT, chat("hello", { steer: { preset: "bard" } }).body),
      403,
      "permission_denied",
      /may not use the preset bard.*limited to tutor/,
      "steer.preset",
    );
    await expectError(
      await call(CHAT, chat("hello").body),
      403,
      "permission_denied",
      /only works with a preset.*tutor in steer\.preset/,
      "steer.preset",
    );
  });

  it("sees and changes no others", async () => {
    const call = await projectWithPresets();
    expect(await (await call("/v1/presets")).json()).toMatchObject({ data: [{ slug: "tutor" }] });
    expect((await call("/v1/presets/tutor", { persona: "New." }, { method: "PUT" })).status).toBe(200);
    for (const response of [
      await call("/v1/presets/bard"),
      await call("/v1/presets/bard", {}, { method: "PUT" }),
      await call("/v1/presets/bard", undefined, { method: "DELETE" }),
      await call("/v1/presets", { slug: "other" }),
    ]) {
      await expectError(response, 403, "permission_denied", /may not use the preset/, "slug");
    }
  });
});

describe("a key's bounds", () => {
  it("clamp what request and preset ask for, and the answer says so", async () => {
    const call = clientFor(await issueKey({ bounds: { toxicity: { locked: 0 }, verbosity: { max: 2 } } }));
    const { text, body } = chat("hello", { steer: { attributes: { toxicity: 3, verbosity: 4 } } });
    expect(await (await call(CHAT, body)).json()).toMatchObject({
      steer: {
        effective: { toxicity: 0, verbosity: 2 },
        clamped: [
          { attribute: "toxicity", requested: 3, applied: 0, reason: "key_locked" },
          { attribute: "verbosity", requested: 4, applied: 2, reason: "key_max" },
        ],
      },
    });
    expect((await seenBy(text))?.request.steering.effective).toMatchObject({ toxicity: 0, verbosity: 2 });
  });

  it("hold for every answer of a fan-out", async () => {
    const call = clientFor(await issueKey({ bounds: { verbosity: { max: 2 } } }));
    const { text, body } = chat("hello", { steer: { fan_out: [{ verbosity: 1 }, { verbosity: 4 }] } });
    await call(CHAT, body);
    const levels = (await seenBy(text))?.request.fan_out?.map(({ effective }) => effective.verbosity);
    expect(levels).toEqual([1, 2]);
  });

  it("lock toxicity at 0 where a row was stored without any", async () => {
    const id = `key_${crypto.randomUUID()}`;
    await env.DB.prepare(
      "INSERT INTO api_keys (id, project_id, name, hash, last_four, requests_per_minute, tokens_per_minute) VALUES (?, 'p', 'n', ?, 'abcd', 1, 1)",
    )
      .bind(id, id)
      .run();
    expect(await keyRow(id)).toMatchObject({ bounds: { toxicity: { locked: 0 } }, kind: "secret" });
  });
});

describe("another pepper", () => {
  const NEW = { KEY_PEPPER: "the new pepper", KEY_PEPPER_OTHER: env.KEY_PEPPER };

  it("is moved to by keys as they are used, and then the old one is no longer needed", async () => {
    const key = await issueKey({ id: "key_moving" });
    expect((await listModels(key, NEW)).status).toBe(200);
    expect(await keyRow("key_moving")).toMatchObject({
      hash: await hashKey(NEW.KEY_PEPPER, key),
      pepperId: await pepperIdOf(NEW.KEY_PEPPER),
    });
    expect((await listModels(key, { KEY_PEPPER: NEW.KEY_PEPPER })).status).toBe(200);
  });

  it("is moved to by a secret that a rotation replaced, too", async () => {
    const key = await issueKey({ id: "key_replaced", previousExpiresAt: seconds() + 1000 });
    await change("key_replaced", {
      hash: "the hash of its newer secret",
      previousHash: await hashKey(env.KEY_PEPPER, key),
    });
    expect((await listModels(key, NEW)).status).toBe(200);
    expect(await keyRow("key_replaced")).toMatchObject({
      hash: "the hash of its newer secret",
      previousHash: await hashKey(NEW.KEY_PEPPER, key),
    });
  });

  it("without the old one beside it knows no key of the old one's", async () => {
    const key = await issueKey();
    await expectError(await listModels(key, { KEY_PEPPER: "the new pepper" }), 401, "invalid_api_key", /not known/);
  });
});
