import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import type { LimitsAnswer } from "../../schema/api/limits.ts";
import { NO_LIMITS } from "../../schema/api/limits.ts";
import type { Project } from "../../schema/api/projects.ts";
import type { SessionAnswer } from "../../schema/api/sessions.ts";
import { administer, auditOf, createKey, createProject } from "./administration.ts";
import { type Client, chat, clientFor, expectError, issueKey } from "./project.ts";

const CHAT = "/v1/chat/completions";
const PAGE = "https://shop.example";

/** Sets a project's limits as its operator does. */
async function limitProject(project: Project, body: object): Promise<Project> {
  const response = await administer("PATCH", `/projects/${project.id}`, { version: project.version, ...body });
  expect(response.status).toBe(200);
  return response.json();
}

describe("a project's limits", () => {
  it("hold for all its keys together", async () => {
    const project = await limitProject(await createProject(), { requests_per_minute: 2 });
    const calls = [await createKey(project), await createKey(project)].map(({ secret }) => clientFor(secret));
    const [one, two] = calls;
    const first = await one?.("/v1/models");
    expect(first?.headers.get("x-ratelimit-limit-requests")).toBe("2");
    expect(first?.headers.get("ratelimit")).toMatch(/"key-requests";r=59;t=\d+, .*"project-requests";r=1;t=\d+/);
    expect((await two?.("/v1/models"))?.status).toBe(200);
    for (const call of calls) {
      await expectError(await call("/v1/models"), 429, "rate_limit_exceeded", /This project is limited to 2 requests/);
    }
  });

  it("are set by the operator, recorded, and not by a key of the project", async () => {
    const created = await administer("POST", "/projects", { name: "Limited", tokens_per_month: 1_000 });
    const project = await created.json<Project>();
    expect(project).toMatchObject({ ...NO_LIMITS, tokens_per_month: 1_000, version: 1 });
    const { secret } = await createKey(project, { scopes: ["admin"] });
    const path = `/projects/${project.id}`;
    const raise = { version: 1, tokens_per_month: null };
    await expectError(await administer("PATCH", path, raise, secret), 403, "permission_denied", /ADMIN_TOKEN/);
    const limited = await limitProject(project, { name: "Renamed", concurrent_generations: 3 });
    expect(limited).toMatchObject({ name: "Renamed", concurrent_generations: 3, tokens_per_month: 1_000, version: 2 });
    await expectError(
      await administer("PATCH", path, raise),
      409,
      "conflict",
      /Somebody else changed the project/,
      "version",
    );
    expect((await auditOf(project.id))[0]).toMatchObject({
      action: "project.update",
      target: project.id,
      changes: { name: "Renamed", concurrent_generations: 3 },
    });
  });

  it.each([{ tokens_per_month: -1 }, { requests_per_minute: 0 }, { tokens_per_minute: 1.5 }, { tokens: 5 }])(
    "like %j are refused",
    async (body) => {
      const project = await createProject();
      expect((await administer("PATCH", `/projects/${project.id}`, { version: 1, ...body })).status).toBe(400);
    },
  );

  it("used up by others do not keep an administrator from revoking a key", async () => {
    const project = await limitProject(await createProject(), { requests_per_minute: 1 });
    const leaked = await createKey(project);
    const { secret } = await createKey(project, { scopes: ["admin"] });
    await clientFor(leaked.secret)("/v1/models");
    expect((await clientFor(leaked.secret)("/v1/models")).status).toBe(429);
    const revoked = await administer("POST", `/projects/${project.id}/keys/${leaked.id}/revoke`, undefined, secret);
    expect(revoked.status).toBe(200);
  });
});

/** A client of a session of its own. */
async function sessionOf(key: string, body: object): Promise<Client> {
  const headers = { origin: PAGE };
  const response = await clientFor(key)("/v1/sessions", body, { method: "POST", headers });
  const { token } = await response.json<SessionAnswer>();
  const call = clientFor(token);
  return (path, sent, init = {}) => call(path, sent, { ...init, headers });
}

const pageKey = (requests: number) =>
  issueKey({
    kind: "publishable",
    origins: [PAGE],
    scopes: ["chat", "models:read"],
    endUserLimits: { ...NO_LIMITS, requests_per_minute: requests },
  });

describe("an end user's limits", () => {
  it("are each end user's own, in all sessions of the key", async () => {
    const key = await pageKey(2);
    const visits = await Promise.all(["ann", "ann", "bob"].map((end_user) => sessionOf(key, { end_user })));
    const statuses = [];
    for (const call of visits) statuses.push((await call("/v1/models")).status);
    expect(statuses).toEqual([200, 200, 200]);
    const [ann, , bob] = visits;
    const refused = await ann?.("/v1/models");
    expect(refused?.headers.get("ratelimit")).toContain('"end-user-requests";r=0');
    expect(await refused?.json()).toMatchObject({
      error: { message: expect.stringMatching(/^This end user is limited to 2/) },
    });
    expect((await bob?.("/v1/models"))?.status).toBe(200);
  });

  it("are shared by sessions that name nobody, and are told to the page", async () => {
    const key = await pageKey(2);
    const [one, two] = [await sessionOf(key, {}), await sessionOf(key, {})];
    const { subjects } = await (await one("/v1/limits")).json<LimitsAnswer>();
    expect(subjects.map(({ subject, id }) => [subject, id])[2]).toEqual(["end_user", null]);
    expect((await two("/v1/models")).status).toBe(200);
    expect((await one("/v1/models")).status).toBe(429);
  });
});

describe("a limit on what runs at a time", () => {
  it("refuses one generation more, and lets it in when another has ended", async () => {
    const call = clientFor(await issueKey({ concurrentGenerations: 1 }));
    const silent = await call(CHAT, chat("silent", { stream: true }).body);
    const refused = await call(CHAT, chat("hello").body);
    expect(refused.headers.get("retry-after")).toBe("1");
    await expectError(refused, 429, "rate_limit_exceeded", /1 generations at a time, and 1 are running/);
    expect((await call("/v1/models")).status).toBe(200);
    await silent.body?.cancel();
    await expect.poll(async () => (await call(CHAT, chat("hello").body)).status).toBe(200);
  });

  it("has its places back after whatever ending", async () => {
    const call = clientFor(await issueKey({ concurrentGenerations: 1 }));
    const running = async () =>
      (await (await call("/v1/limits")).json<LimitsAnswer>()).subjects[0]?.limits.concurrent_generations.used;
    for (const [behaviour, stream] of [
      ["dies", true],
      ["fails", true],
      ["fails", false],
      ["queue-full", true],
      ["hello", false],
    ] as const) {
      await (await call(CHAT, chat(behaviour, { stream }).body)).text();
      await expect.poll(running).toBe(0);
    }
    const abort = new AbortController();
    const gone = call(CHAT, chat("silent").body, { signal: abort.signal });
    abort.abort();
    await expect(gone).rejects.toThrow();
    await expect.poll(running).toBe(0);
  });
});

describe("a month's budget", () => {
  it("is told apart from limits that pass, and is exact across evictions", async () => {
    const projectId = "proj_budget";
    const call = clientFor(await issueKey({ projectId, tokensPerMonth: 150 }));
    const { usage } = await (await call(CHAT, chat("hello").body)).json<{ usage: { total_tokens: number } }>();
    const remaining = async () =>
      (await (await call("/v1/limits")).json<LimitsAnswer>()).subjects[0]?.limits.tokens_per_month.remaining;
    await expect.poll(remaining).toBe(150 - usage.total_tokens);
    await evictDurableObject(env.PROJECT_LIMITER.getByName(projectId));
    expect(await remaining()).toBe(150 - usage.total_tokens);
    const refused = await call(CHAT, chat("hello", { max_tokens: 149 }).body);
    expect(refused.status).toBe(429);
    expect(refused.headers.get("x-should-retry")).toBe("false");
    expect(await refused.json()).toMatchObject({
      error: { type: "insufficient_quota", code: "budget_exceeded", message: expect.stringMatching(/tokens/) },
    });
  });
});

describe("a limit that is changed", () => {
  it("to none is none", async () => {
    const project = await createProject();
    const { secret } = await createKey(project, { requests_per_minute: null, tokens_per_minute: null });
    const response = await clientFor(secret)("/v1/models");
    expect([...response.headers.keys()].filter((name) => name.includes("ratelimit"))).toEqual([]);
  });
});

describe("a hot key with a large limit", () => {
  it("is served out of leases, of which none is counted less than it allows", async () => {
    const projectId = "proj_hot";
    const call = clientFor(await issueKey({ projectId, limits: { requests: 100_000 } }));
    let remaining = 100_000;
    for (let count = 0; count < 150; count++) {
      const response = await call("/v1/presets");
      expect(response.status).toBe(200);
      expect(Number(response.headers.get("x-ratelimit-remaining-requests"))).toBeLessThan(remaining);
      remaining = Number(response.headers.get("x-ratelimit-remaining-requests"));
    }
    const { decisions, requests } = await runInDurableObject(env.PROJECT_LIMITER.getByName(projectId), (_, state) =>
      state.storage.sql
        .exec<{ decisions: number; requests: number }>(
          "SELECT count(*) AS decisions, sum(requests) AS requests FROM reservations",
        )
        .one(),
    );
    expect(decisions).toBeLessThan(100);
    expect(requests).toBeGreaterThanOrEqual(150);
  });
});
