import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import type { UsageRecord } from "../../edge/usage/usage-record.ts";
import { selectGenerations, selectUsage } from "../../edge/usage/usage-store.ts";
import type { Page } from "../../schema/api/admin.ts";
import { DEFAULT_SCOPES } from "../../schema/api/keys.ts";
import type { UsageEntry, UsageGroup } from "../../schema/api/usage.ts";
import { administer, createKey, createProject } from "./administration.ts";
import { type Client, clientFor, expectError, issueKey } from "./project.ts";
import { ledgerOf, limiterOf, usageRecord } from "./usage-rows.ts";

const USAGE = "/v1/usage?from=2026-11-01&to=2026-11-30";

const at = (time: string) => Date.parse(time) / 1000;

/** A project with these generations in its ledger, and a client that may read it. */
async function projectWith(records: Partial<UsageRecord>[]): Promise<{ projectId: string; call: Client }> {
  const projectId = `proj_${crypto.randomUUID()}`;
  await limiterOf(projectId).settle(
    [],
    records.map((fields) => usageRecord({ ...fields, projectId })),
  );
  expect(await ledgerOf(projectId)).toHaveLength(records.length);
  return { projectId, call: clientFor(await issueKey({ projectId, scopes: ["usage:read"] })) };
}

async function groupsOf(call: Client, path: string): Promise<Page<UsageGroup>> {
  const response = await call(path);
  expect(response.status).toBe(200);
  return response.json();
}

/** The groups by their ids, as tokens in all and generations. */
const summary = ({ data }: Page<UsageGroup>) =>
  data.map(({ id, usage, generations: { completed, cancelled, failed } }) => [
    id,
    usage.total_tokens,
    completed + cancelled + failed,
  ]);

const MIXED: Partial<UsageRecord>[] = [
  { createdAt: at("2026-10-31T23:59:59Z"), promptTokens: 1000 },
  { createdAt: at("2026-11-01T00:00:00Z"), keyId: "key_a", presetSlug: "pirate", presetVersion: 1 },
  { createdAt: at("2026-11-01T23:59:59Z"), keyId: "key_b", presetSlug: "pirate", presetVersion: 2, state: "cancelled" },
  { createdAt: at("2026-11-02T00:00:00Z"), keyId: "key_a", endUser: "ann", model: "plain" },
  { createdAt: at("2026-11-30T23:59:59Z"), keyId: "key_b", state: "failed", usageKnown: false, promptTokens: 0 },
  { createdAt: at("2026-12-01T00:00:00Z"), promptTokens: 1000 },
];

describe("GET /v1/usage", () => {
  it("sums whole days in UTC, both included", async () => {
    const { call } = await projectWith(MIXED);
    expect(await groupsOf(call, USAGE)).toEqual({
      object: "list",
      data: [
        {
          object: "usage",
          id: "all",
          generations: { completed: 2, cancelled: 1, failed: 1 },
          usage: { prompt_tokens: 30, completion_tokens: 20, total_tokens: 50 },
          usage_unknown: 1,
        },
      ],
      has_more: false,
    });
    expect(summary(await groupsOf(call, "/v1/usage?from=2026-11-02&to=2026-11-02"))).toEqual([["all", 15, 1]]);
    expect(await groupsOf(call, "/v1/usage?from=2025-11-02&to=2025-11-02")).toMatchObject({ data: [] });
  });

  it.each([
    [
      "day",
      [
        ["2026-11-01", 30, 2],
        ["2026-11-02", 15, 1],
        ["2026-11-30", 5, 1],
      ],
    ],
    [
      "key",
      [
        ["key_a", 30, 2],
        ["key_b", 20, 2],
      ],
    ],
    [
      "preset",
      [
        ["", 20, 2],
        ["pirate", 30, 2],
      ],
    ],
    [
      "model",
      [
        ["plain", 15, 1],
        ["steered", 35, 3],
      ],
    ],
    [
      "end_user",
      [
        ["", 35, 3],
        ["ann", 15, 1],
      ],
    ],
  ])("groups by %s, and gives the groups page by page", async (grouping, expected) => {
    const { call } = await projectWith(MIXED);
    const path = `${USAGE}&group_by=${grouping}`;
    expect(summary(await groupsOf(call, path))).toEqual(expected);
    const pages = [];
    let after = "";
    for (let page = await groupsOf(call, `${path}&limit=1`); ; page = await groupsOf(call, `${path}&limit=1${after}`)) {
      pages.push(...summary(page));
      if (!page.has_more) break;
      after = `&after=${encodeURIComponent(page.data.at(-1)?.id ?? "")}`;
    }
    expect(pages).toEqual(expected);
  });

  it("is of the key's project only", async () => {
    const [one, other] = [await projectWith([{ promptTokens: 1 }]), await projectWith([{ promptTokens: 2 }])];
    expect(summary(await groupsOf(one.call, USAGE))).toEqual([["all", 6, 1]]);
    expect(summary(await groupsOf(other.call, USAGE))).toEqual([["all", 7, 1]]);
  });

  it.each([
    ["", "from"],
    ["?from=2026-11-01", "to"],
    ["?from=2026-11-01&to=2026-13-01", "to"],
    ["?from=yesterday&to=2026-11-01", "from"],
    ["?from=2026-11-02&to=2026-11-01", "to"],
    ["?from=2026-08-01&to=2026-11-01", "to"],
    ["?from=2026-11-01&to=2026-11-01&group_by=week", "group_by"],
    ["?from=2026-11-01&to=2026-11-01&limit=0", "limit"],
  ])("says what is wrong with the question %s", async (query, param) => {
    const { call } = await projectWith([]);
    await expectError(await call(`/v1/usage${query}`), 400, "invalid_request", /must|Invalid/, param);
  });

  it("takes 92 days", async () => {
    const { call } = await projectWith([{}]);
    expect(summary(await groupsOf(call, "/v1/usage?from=2026-08-31&to=2026-11-30"))).toEqual([["all", 15, 1]]);
  });
});

describe("GET /v1/usage/generations", () => {
  it("lists them newest first, page by page, also where several began in the same second", async () => {
    const times = ["2026-11-03T00:00:00Z", "2026-11-01T00:00:00Z", "2026-11-03T00:00:00Z", "2026-11-02T00:00:00Z"];
    const { projectId, call } = await projectWith(times.map((time) => ({ createdAt: at(time) })));
    const newestFirst = (await ledgerOf(projectId)).map(({ id }) => id).reverse();
    const page = async (query: string) => {
      const response = await call(`/v1/usage/generations${query}`);
      expect(response.status).toBe(200);
      return response.json<Page<UsageEntry>>();
    };
    const first = await page("?limit=2");
    const second = await page(`?limit=2&after=${first.data.at(-1)?.id}`);
    expect([...first.data, ...second.data].map(({ id }) => id)).toEqual(newestFirst);
    expect([first.has_more, second.has_more]).toEqual([true, false]);
    expect(await page("?after=gen_unknown")).toMatchObject({ data: [], has_more: false });
  });

  it("says of each all that the ledger has", async () => {
    const { call } = await projectWith([
      { keyId: "key_a", presetSlug: "pirate", presetVersion: null, error: "queue_full" },
    ]);
    const { data } = await (await call("/v1/usage/generations")).json<Page<UsageEntry>>();
    expect(data[0]).toEqual({
      object: "usage_entry",
      id: expect.stringMatching(/^gen_/),
      created_at: at("2026-11-10T12:00:00Z"),
      key: "key_a",
      end_user: null,
      model: "steered",
      preset: { slug: "pirate", version: null },
      dialect: "openai",
      stream: true,
      choices: 1,
      attributes: { verbosity: 1 },
      state: "completed",
      error: "queue_full",
      usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
      usage_known: true,
      first_byte_ms: 20,
      duration_ms: 300,
      request_id: "req_test",
    });
  });
});

describe("usage", () => {
  it("is for keys with the scope usage:read, which new secret keys have and pages never", async () => {
    const without = clientFor(await issueKey({ scopes: ["chat", "presets:read"] }));
    for (const path of [USAGE, "/v1/usage/generations"]) {
      await expectError(await without(path), 403, "permission_denied", /lacks the scope usage:read/);
    }
    expect(DEFAULT_SCOPES.secret).toContain("usage:read");
    const project = await createProject();
    const page = { kind: "publishable", origins: ["https://shop.example"], scopes: ["chat", "usage:read"] };
    const refused = await administer("POST", `/projects/${project.id}/keys`, { name: "page", ...page });
    await expectError(refused, 400, "invalid_request", /a publishable key may only have/, "scopes");
  });

  it("of any project is the operator's to read, and of its own an administrating key's", async () => {
    const project = await createProject();
    await limiterOf(project.id).settle([], [usageRecord({ projectId: project.id })]);
    await ledgerOf(project.id);
    const { secret } = await createKey(project, { scopes: ["admin"] });
    const path = `/projects/${project.id}/usage`;
    for (const token of [env.ADMIN_TOKEN, secret]) {
      const sums = await administer("GET", `${path}?from=2026-11-01&to=2026-11-30`, undefined, token);
      expect(summary(await sums.json())).toEqual([["all", 15, 1]]);
      const list = await administer("GET", `${path}/generations`, undefined, token);
      expect((await list.json<Page<UsageEntry>>()).data).toHaveLength(1);
    }
    const other = await createProject();
    const foreign = await administer("GET", `/projects/${other.id}/usage/generations`, undefined, secret);
    expect(foreign.status).toBe(404);
  });

  it("is read by index: no question looks at other projects, or at other days", async () => {
    const query = { from: "2026-11-01", to: "2026-11-30", limit: 50 } as const;
    const statements = [
      selectUsage(env.DB, "proj_a", query),
      ...(["day", "key", "preset", "model", "end_user"] as const).map((group_by) =>
        selectUsage(env.DB, "proj_a", { ...query, group_by, after: "x" }),
      ),
      selectGenerations(env.DB, "proj_a", { limit: 50 }),
      selectGenerations(env.DB, "proj_a", { limit: 50, after: "gen_x" }),
    ];
    for (const [index, statement] of statements.entries()) {
      const { sql, params } = statement.toSQL();
      const plan = await env.DB.prepare(`EXPLAIN QUERY PLAN ${sql}`)
        .bind(...params)
        .all<{ detail: string }>();
      const details = plan.results.map(({ detail }) => detail);
      expect(details.filter((detail) => detail.startsWith("SCAN"))).toEqual([]);
      const range = index < 6 ? "(project_id=? AND created_at>? AND created_at<?)" : "(project_id=?";
      expect(details.join("\n")).toContain(`USING INDEX generations_project ${range}`);
    }
  });
});
