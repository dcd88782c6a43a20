import { afterEach, describe, expect, it, vi } from "vitest";
import type { Page } from "../../schema/api/admin.ts";
import type { Key, KeyWithSecret } from "../../schema/api/keys.ts";
import { NO_LIMITS } from "../../schema/api/limits.ts";
import { administer, auditOf, createKey, createProject, keyPath } from "./administration.ts";
import { callApp, expectError, keyRow } from "./project.ts";

const PAGE = "https://shop.example";

const use = (secret: string) => callApp("/v1/models", { headers: { authorization: `Bearer ${secret}` } });

afterEach(() => vi.useRealTimers());

describe("a new key", () => {
  it("is shown once, works at once, and is stored as a hash", async () => {
    const project = await createProject();
    const { secret, ...key } = await createKey(project);
    expect(secret).toMatch(/^sk_live_[0-9A-Za-z]{36}$/);
    expect((await use(secret)).status).toBe(200);
    expect(JSON.stringify(await keyRow(key.id))).not.toContain(secret);
    expect(await (await administer("GET", keyPath(key))).json()).toEqual(key);
    expect(await (await administer("GET", `/projects/${project.id}/keys`)).json()).toEqual({
      object: "list",
      data: [key],
      has_more: false,
    });
  });

  it("may do all but administer, never expires, and locks toxicity at 0", async () => {
    const { secret, ...key } = await createKey(await createProject());
    expect(key).toEqual({
      object: "key",
      id: expect.stringMatching(/^key_/),
      project: expect.stringMatching(/^proj_/),
      name: "backend",
      kind: "secret",
      hint: `sk_live_…${secret.slice(-4)}`,
      scopes: ["chat", "attributes", "models:read", "presets:read", "presets:write", "usage:read"],
      bounds: { toxicity: { locked: 0 } },
      models: null,
      presets: null,
      moderation: null,
      origins: [],
      requests_per_minute: 60,
      tokens_per_minute: 100_000,
      concurrent_generations: null,
      tokens_per_month: null,
      end_user_limits: NO_LIMITS,
      expires_at: null,
      revoked_at: null,
      replaced_works_until: null,
      rehash_pending: false,
      version: 1,
      created_at: expect.any(Number),
    });
  });

  it("locks toxicity beside other bounds too, unless told otherwise", async () => {
    const project = await createProject();
    const boundsOf = async (bounds: object) => (await createKey(project, { bounds })).bounds;
    expect(await boundsOf({ humor: { max: 2 } })).toEqual({ toxicity: { locked: 0 }, humor: { max: 2 } });
    expect(await boundsOf({ toxicity: { max: 1 } })).toEqual({ toxicity: { max: 1 } });
    expect(await boundsOf({ toxicity: {} })).toEqual({ toxicity: {} });
  });

  it("that is publishable has its origins and little else", async () => {
    const { secret, ...key } = await createKey(await createProject(), {
      kind: "publishable",
      mode: "test",
      origins: [PAGE],
    });
    expect(secret).toMatch(/^pk_test_/);
    expect(key).toMatchObject({ scopes: ["chat", "models:read"], origins: [PAGE] });
  });

  it.each([
    ["name", { name: "" }],
    ["scopes.0", { scopes: ["everything"] }],
    ["scopes", { scopes: [] }],
    ["scopes", { kind: "publishable", origins: [PAGE], scopes: ["chat", "presets:write"] }],
    ["origins", { kind: "publishable" }],
    ["origins", { origins: [PAGE] }],
    ["bounds.humor", { bounds: { humor: { min: 3, max: 1 } } }],
    ["models", { models: [] }],
    ["presets.0", { presets: ["No Slug"] }],
    ["expires_at", { expires_at: 1_700_000_000 }],
    ["requests_per_minute", { requests_per_minute: 0 }],
  ])("with a wrong %s is a 400 that names it", async (param, body) => {
    const project = await createProject();
    const response = await administer("POST", `/projects/${project.id}/keys`, { name: "backend", ...body });
    await expectError(response, 400, "invalid_request", /./, param);
    expect((await auditOf(project.id)).map(({ action }) => action)).toEqual(["project.create"]);
  });

  it.each([
    "null",
    "*",
    "https://*.shop.example",
    "shop.example",
    "https://shop.example/",
    "https://shop.example/page",
    "https://shop.example:443",
    "https://Shop.example",
    "https://user@shop.example",
    "ftp://shop.example",
  ])("takes no %j as an origin", async (origin) => {
    const project = await createProject();
    const body = { name: "page", kind: "publishable", origins: [origin] };
    await expectError(
      await administer("POST", `/projects/${project.id}/keys`, body),
      400,
      "invalid_request",
      /as browsers send it/,
      "origins.0",
    );
  });
});

describe("a list of keys", () => {
  it("is read page by page, each key once, and of its project only", async () => {
    const [project, other] = [await createProject(), await createProject()];
    const made = [];
    for (let count = 0; count < 5; count++) made.push((await createKey(project)).id);
    await createKey(other);
    const seen: string[] = [];
    let after = "";
    for (let more = true; more; ) {
      const path = `/projects/${project.id}/keys?limit=2${after}`;
      const page = await (await administer("GET", path)).json<Page<Key>>();
      seen.push(...page.data.map(({ id }) => id));
      after = `&after=${page.data.at(-1)?.id}`;
      more = page.has_more;
    }
    expect(seen).toHaveLength(5);
    expect(new Set(seen)).toEqual(new Set(made));
  });
});

describe("a change of a key", () => {
  it("leaves alone what it does not name, and locks toxicity again where new bounds do not", async () => {
    const key = await createKey(await createProject(), { bounds: { toxicity: {} }, models: ["plain"] });
    const response = await administer("PATCH", keyPath(key), {
      version: 1,
      name: "renamed",
      bounds: { humor: { max: 1 } },
    });
    expect(await response.json()).toMatchObject({
      name: "renamed",
      bounds: { toxicity: { locked: 0 }, humor: { max: 1 } },
      models: ["plain"],
      version: 2,
    });
    expect(await (await administer("PATCH", keyPath(key), { version: 2, models: null })).json()).toMatchObject({
      models: null,
      name: "renamed",
    });
  });

  it("of what somebody else has changed meanwhile is refused, so that nothing is overwritten unseen", async () => {
    const key = await createKey(await createProject());
    const answers = await Promise.all(
      ["a", "b", "c", "d"].map((name) => administer("PATCH", keyPath(key), { version: key.version, name })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409, 409, 409]);
    const updates = (await auditOf(key.project)).filter(({ action }) => action === "key.update");
    expect(updates).toHaveLength(1);
    const stored = await (await administer("GET", keyPath(key))).json<Key>();
    expect(updates[0]?.changes).toEqual({ name: stored.name });
  });

  it("keeps a publishable key publishable", async () => {
    const key = await createKey(await createProject(), { kind: "publishable", origins: [PAGE] });
    for (const [body, param] of [
      [{ scopes: ["admin"] }, "scopes"],
      [{ origins: [] }, "origins"],
    ] as const) {
      const response = await administer("PATCH", keyPath(key), { version: 1, ...body });
      await expectError(response, 400, "invalid_request", /publishable key/, param);
    }
  });

  it("names the version it was made on, or is refused", async () => {
    const key = await createKey(await createProject());
    await expectError(await administer("PATCH", keyPath(key), { name: "x" }), 400, "invalid_request", /./, "version");
  });
});

describe("a rotation", () => {
  it("gives a new secret, and the old one works until the overlap is over", async () => {
    const now = Math.floor(Date.now() / 1000) * 1000;
    vi.useFakeTimers({ toFake: ["Date"], now });
    const { secret: old, ...key } = await createKey(await createProject());
    const response = await administer("POST", keyPath(key, "/rotate"), { overlap_seconds: 100 });
    const { secret, ...rotated } = await response.json<KeyWithSecret>();
    expect(secret).not.toBe(old);
    expect(rotated).toMatchObject({ id: key.id, version: 2, replaced_works_until: now / 1000 + 100 });
    vi.setSystemTime(now + 99_000);
    expect([(await use(old)).status, (await use(secret)).status]).toEqual([200, 200]);
    vi.setSystemTime(now + 100_000);
    await expectError(await use(old), 401, "invalid_api_key", /was replaced by a newer one/);
    expect((await use(secret)).status).toBe(200);
  });

  it("waits for the one before, unless it ends all earlier secrets at once", async () => {
    const { secret: first, ...key } = await createKey(await createProject());
    const rotate = (overlap_seconds: number) => administer("POST", keyPath(key, "/rotate"), { overlap_seconds });
    const { secret: second } = await (await rotate(100)).json<KeyWithSecret>();
    await expectError(await rotate(100), 409, "conflict", /not over.*overlap_seconds 0/, "overlap_seconds");
    const { secret: third } = await (await rotate(0)).json<KeyWithSecret>();
    for (const secret of [first, second]) await expectError(await use(secret), 401, "invalid_api_key", /not known/);
    expect((await use(third)).status).toBe(200);
  });

  it("by two at once gives one of them a new secret, and tells the other", async () => {
    const key = await createKey(await createProject());
    const answers = await Promise.all(
      [0, 0, 0].map((overlap_seconds) => administer("POST", keyPath(key, "/rotate"), { overlap_seconds })),
    );
    const working = await Promise.all(
      answers.filter(({ status }) => status === 200).map(async (answer) => (await answer.json<KeyWithSecret>()).secret),
    );
    const last = await keyRow(key.id);
    expect(answers.every(({ status }) => status === 200 || status === 409)).toBe(true);
    expect(last?.version).toBe(1 + working.length);
    expect((await auditOf(key.project)).filter(({ action }) => action === "key.rotate")).toHaveLength(working.length);
  });

  it.each([{ overlap_seconds: -1 }, { overlap_seconds: 2_592_001 }, { overlap: 5 }])(
    "with %j is refused",
    async (body) => {
      const key = await createKey(await createProject());
      expect((await administer("POST", keyPath(key, "/rotate"), body)).status).toBe(400);
    },
  );
});

describe("a revocation", () => {
  it("ends every secret of the key, for good", async () => {
    const now = Date.now();
    vi.useFakeTimers({ toFake: ["Date"], now });
    const { secret: old, ...key } = await createKey(await createProject());
    const { secret } = await (await administer("POST", keyPath(key, "/rotate"), {})).json<KeyWithSecret>();
    expect([(await use(old)).status, (await use(secret)).status]).toEqual([200, 200]);
    const revoked = await (await administer("POST", keyPath(key, "/revoke"))).json<Key>();
    expect(revoked.revoked_at).toEqual(expect.any(Number));
    vi.setSystemTime(now + 30_000);
    for (const one of [old, secret]) await expectError(await use(one), 401, "invalid_api_key", /revoked/);
    for (const response of [
      await administer("PATCH", keyPath(key), { version: revoked.version, name: "x" }),
      await administer("POST", keyPath(key, "/rotate"), {}),
    ]) {
      await expectError(response, 409, "conflict", /revoked, and stays so/);
    }
  });

  it("goes through whoever else changes the key at the time", async () => {
    const key = await createKey(await createProject());
    const [revoked] = await Promise.all([
      administer("POST", keyPath(key, "/revoke")),
      administer("POST", keyPath(key, "/revoke")),
      administer("PATCH", keyPath(key), { version: 1, name: "renamed" }),
      administer("POST", keyPath(key, "/rotate"), {}),
    ]);
    expect(revoked?.status).toBe(200);
    expect((await keyRow(key.id))?.revokedAt).toEqual(expect.any(Number));
    const actions = (await auditOf(key.project)).map(({ action }) => action);
    expect(actions.filter((action) => action === "key.revoke")).toHaveLength(1);
    expect(actions[0]).toBe("key.revoke");
  });

  it("asked for again changes nothing", async () => {
    const key = await createKey(await createProject());
    const first = await (await administer("POST", keyPath(key, "/revoke"))).json();
    expect(await (await administer("POST", keyPath(key, "/revoke"))).json()).toEqual(first);
    expect((await auditOf(key.project)).filter(({ action }) => action === "key.revoke")).toHaveLength(1);
  });
});
