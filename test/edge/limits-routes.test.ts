import { beforeAll, describe, expect, it } from "vitest";
import { app } from "../../edge/app.ts";
import { SCOPES } from "../../schema/api/keys.ts";
import type { LimitsAnswer, LimitsCheckAnswer } from "../../schema/api/limits.ts";
import { type Client, chat, clientFor, expectError, issueKey, newProject } from "./project.ts";

const PAGE = "https://shop.example";
const CHECK = "/v1/limits/check";

/** Every route that the app has, once; what runs before routes has no method of its own. */
const routes = [...new Set(app.routes.map(({ method, path }) => `${method} ${path}`))]
  .filter((route) => !route.startsWith("ALL "))
  .sort();

/** Calls a route as somebody who may use it; what it is asked for need not exist. */
async function callRoute(route: string, call: Client): Promise<Response> {
  const [method = "", path = ""] = route.split(" ");
  const named = path.replace(":project", PROJECT).replaceAll(/:\w+/g, "something");
  const body = ["GET", "DELETE"].includes(method) ? {} : { body: "{}" };
  return call(named, undefined, { method, headers: { origin: PAGE }, ...body });
}

const PROJECT = "proj_routes";

/** A key for each kind of route, which allows so many requests. */
async function clientsOf(requests: number): Promise<(route: string) => Client> {
  const limits = { requests };
  const secret = clientFor(await issueKey({ projectId: PROJECT, limits, scopes: SCOPES }));
  const publishable = clientFor(await issueKey({ projectId: PROJECT, limits, kind: "publishable", origins: [PAGE] }));
  return (route) => (route.endsWith(" /v1/sessions") ? publishable : secret);
}

describe("every route", () => {
  it("is among these, so that new ones are tested too", () => {
    expect(routes).toContain("POST /v1/chat/completions");
    expect(routes).toContain("POST /v1/sessions");
    expect(routes).toContain("POST /admin/v1/projects/:project/keys/:key/revoke");
    expect(routes.length).toBeGreaterThan(20);
  });

  describe("refuses a key whose requests are used up", () => {
    let clientOf: (route: string) => Client;
    beforeAll(async () => {
      clientOf = await clientsOf(1);
      for (const route of ["GET /v1/limits", "POST /v1/sessions"]) await callRoute(route, clientOf(route));
    });

    it.each(routes)("%s", async (route) => {
      await expectError(await callRoute(route, clientOf(route)), 429, "rate_limit_exceeded", /1 requests per minute/);
    });
  });

  describe("counts one request, whatever comes of it", () => {
    let clientOf: (route: string) => Client;
    beforeAll(async () => {
      clientOf = await clientsOf(100);
    });

    it.each(routes)("%s", async (route) => {
      const remaining = (response: Response) => Number(response.headers.get("x-ratelimit-remaining-requests"));
      const call = clientOf(route);
      const before = remaining(await callRoute(route, call));
      expect(remaining(await callRoute(route, call))).toBe(before - 1);
    });
  });
});

describe("GET /v1/limits", () => {
  it("says how all limits of all subjects stand, also what is used where nothing is limited", async () => {
    const call = clientFor(
      await issueKey({ id: "key_stands", limits: { requests: 5, tokens: 500 }, tokensPerMonth: 900 }),
    );
    const { usage } = await (await call("/v1/chat/completions", chat("hello").body)).json<{
      usage: { total_tokens: number };
    }>();
    const used = usage.total_tokens;
    await expect
      .poll(
        async () => (await (await call("/v1/limits")).json<LimitsAnswer>()).subjects[0]?.limits.tokens_per_month.used,
      )
      .toBe(used);
    const answer = await (await call("/v1/limits")).json<LimitsAnswer>();
    expect(answer.object).toBe("limits");
    const [key, project] = answer.subjects;
    expect(key).toMatchObject({
      subject: "key",
      id: "key_stands",
      limits: {
        requests_per_minute: { limit: 5 },
        tokens_per_minute: { limit: 500, used, remaining: 500 - used },
        concurrent_generations: { limit: null, used: 0, remaining: null, reset_ms: 0 },
        tokens_per_month: { limit: 900, used, remaining: 900 - used },
      },
    });
    expect(project).toMatchObject({
      subject: "project",
      limits: { requests_per_minute: { limit: null, remaining: null }, tokens_per_month: { limit: null, used } },
    });
  });
});

describe("POST /v1/limits/check", () => {
  const check = async (call: Client, body: object) => {
    const response = await call(CHECK, body);
    expect(response.status).toBe(200);
    return response.json<LimitsCheckAnswer>();
  };

  it("says what a chat request would reserve and be told, and does nothing else", async () => {
    const call = await newProject({ tokens: 600 });
    const { body } = chat("hello", { max_tokens: 500 });
    const answer = await check(call, body);
    expect(answer).toMatchObject({ object: "limits.check", allowed: true, refused_by: null, retry_after_ms: 0 });
    expect(answer.tokens).toBeGreaterThan(500);
    expect(answer.tokens).toBeLessThan(600);
    expect(await check(call, body)).toMatchObject({ allowed: true, tokens: answer.tokens });
    const real = await call("/v1/chat/completions", body);
    expect(Number(real.headers.get("x-ratelimit-remaining-tokens"))).toBe(600 - answer.tokens);
  });

  it("names the limit that would refuse, and what each says", async () => {
    const call = clientFor(
      await issueKey({ limits: { tokens: 1_000 }, tokensPerMonth: 100, concurrentGenerations: 2 }),
    );
    expect(await check(call, { tokens: 200 })).toMatchObject({
      allowed: false,
      tokens: 200,
      refused_by: { subject: "key", limit: "tokens_per_month" },
      retry_after_ms: null,
      subjects: [
        {
          subject: "key",
          limits: {
            tokens_per_minute: { allowed: true, retry_after_ms: 0, remaining: 1_000 },
            concurrent_generations: { allowed: true },
            tokens_per_month: { allowed: false, retry_after_ms: null, remaining: 100 },
          },
        },
        { subject: "project", limits: { tokens_per_month: { allowed: true, limit: null } } },
      ],
    });
    expect(await check(call, { tokens: 0 })).toMatchObject({ allowed: true });
  });

  it.each([{}, { tokens: -1 }, { tokens: 1.5 }, { tokens: 5, other: 1 }, { messages: [] }, []])(
    "is told what is wrong with %j",
    async (body) => {
      const call = await newProject();
      expect((await call(CHECK, body)).status).toBe(400);
    },
  );

  it("is for keys that may chat", async () => {
    const call = clientFor(await issueKey({ scopes: ["models:read"] }));
    await expectError(await call(CHECK, { tokens: 1 }), 403, "permission_denied", /scope chat/);
  });
});
