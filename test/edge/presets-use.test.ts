import { env } from "cloudflare:workers";
import { and, eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { afterEach, describe, expect, it, vi } from "vitest";
import { generations, presets } from "../../schema/database/tables.ts";
import { type Client, chat, clientFor, expectError, issueKey, newProject, seenBy } from "./project.ts";

/** What does not matter of a row of the ledger. */
const GENERATION = {
  keyId: "key_1",
  model: "steered",
  dialect: "openai",
  choices: 1,
  streamed: false,
  state: "completed",
  promptTokens: 1,
  completionTokens: 1,
  usageKnown: true,
  durationMs: 1,
  requestId: "req_1",
} as const;

const PATH = "/v1/chat/completions";
const PUT = { method: "PUT" };

/** Asks with this preset; what the answer says of it, and what the worker was sent. */
async function ask(call: Client, preset: string, fields: object = {}, steer: object = {}) {
  const { text, body } = chat("hello", { max_tokens: undefined, ...fields, steer: { preset, ...steer } });
  const response = await call(PATH, body);
  expect(response.status).toBe(200);
  const { steer: echo } = await response.json<{ steer: { preset: object } }>();
  const request = (await seenBy(text))?.request;
  return { used: echo.preset, persona: request?.messages[0]?.content, sampling: request?.sampling };
}

/** A project whose preset tutor has two versions, the first of them in production, and a draft. */
async function withTutor(projectId = `proj_${crypto.randomUUID()}`): Promise<Client> {
  const call = clientFor(await issueKey({ projectId }));
  await call("/v1/presets", { slug: "tutor", persona: "One." });
  await call("/v1/presets/tutor", { persona: "Two." }, PUT);
  await call("/v1/presets/tutor/aliases/production", { version: 1 }, PUT);
  await call("/v1/presets/tutor/draft", { persona: "Draft." }, PUT);
  return call;
}

afterEach(() => vi.useRealTimers());

describe("a request that names a preset", () => {
  it.each([
    ["tutor", 2, "Two."],
    ["tutor:latest", 2, "Two."],
    ["tutor:1", 1, "One."],
    ["tutor:production", 1, "One."],
    ["tutor:draft", null, "Draft."],
  ])("as %s uses version %s and is told so", async (preset, version, persona) => {
    const call = await withTutor();
    expect(await ask(call, preset)).toMatchObject({ used: { slug: "tutor", version }, persona });
    const { body } = chat("hello", { model: `steered@${preset}` });
    expect(await (await call(PATH, body)).json()).toMatchObject({ steer: { preset: { slug: "tutor", version } } });
  });

  it("uses what its alias names by then, and a version for ever", async () => {
    const call = await withTutor();
    await call("/v1/presets/tutor/aliases/production", { version: 2 }, PUT);
    expect(await ask(call, "tutor:production")).toMatchObject({ used: { version: 2 } });
    await call("/v1/presets/tutor/rollback", { version: 1 });
    expect(await ask(call, "tutor")).toMatchObject({ used: { version: 3 }, persona: "One." });
    expect(await ask(call, "tutor:2")).toMatchObject({ used: { version: 2 }, persona: "Two." });
  });

  it("uses what was changed elsewhere after five seconds at the latest, and no more what was deleted there", async () => {
    const projectId = `proj_${crypto.randomUUID()}`;
    const call = await withTutor(projectId);
    // Past this isolate, as another one would.
    const changeElsewhere = (columns: Partial<typeof presets.$inferInsert>) =>
      drizzle(env.DB)
        .update(presets)
        .set(columns)
        .where(and(eq(presets.projectId, projectId), eq(presets.slug, "tutor")));
    const now = Date.now();
    vi.useFakeTimers({ toFake: ["Date"], now });
    for (const preset of ["tutor", "tutor:production"]) await ask(call, preset);
    await changeElsewhere({ version: 1, aliases: { production: 2 } });
    vi.setSystemTime(now + 4_999);
    expect(await ask(call, "tutor")).toMatchObject({ used: { version: 2 }, persona: "Two." });
    vi.setSystemTime(now + 5_000);
    expect(await ask(call, "tutor")).toMatchObject({ used: { version: 1 }, persona: "One." });
    expect(await ask(call, "tutor:production")).toMatchObject({ used: { version: 2 }, persona: "Two." });
    await changeElsewhere({ deletedAt: Math.floor(now / 1000) });
    vi.setSystemTime(now + 10_000);
    for (const preset of ["tutor", "tutor:1", "tutor:production"]) {
      const response = await call(PATH, chat("hello", { steer: { preset } }).body);
      await expectError(response, 404, "preset_not_found", /was deleted at/, "steer.preset");
    }
  });

  it("is told why it cannot be used", async () => {
    const call = await withTutor();
    const refused = async (preset: string, message: RegExp) => {
      const response = await call(PATH, chat("hello", { steer: { preset } }).body);
      await expectError(response, 404, "preset_not_found", message, "steer.preset");
    };
    await refused("tutor:9", /no version 9.*lists its versions/);
    await refused("tutor:staging", /no alias staging; it has production/);
    await call("/v1/presets", { slug: "planned", publish: false });
    await refused("planned", /no published version yet; POST/);
    await call("/v1/presets/tutor", undefined, { method: "DELETE" });
    for (const preset of ["tutor", "tutor:1", "tutor:production", "tutor:draft"]) {
      await refused(preset, /was deleted at .*Name another one/);
    }
  });

  it("may use a draft only with a key that may write presets", async () => {
    const projectId = `proj_${crypto.randomUUID()}`;
    await withTutor(projectId);
    const reader = clientFor(await issueKey({ projectId, scopes: ["chat", "presets:read"] }));
    expect(await ask(reader, "tutor:production")).toMatchObject({ used: { version: 1 } });
    const response = await reader(PATH, chat("hello", { model: "steered@tutor:draft" }).body);
    await expectError(response, 403, "permission_denied", /may not use drafts.*presets:write/, "model");
    expect(await (await reader("/v1/presets/tutor/draft")).json()).toMatchObject({ persona: "Draft." });
  });
});

describe("a preset's usage", () => {
  it("says how often each version was used today and of late, and when last", async () => {
    const projectId = `proj_${crypto.randomUUID()}`;
    const call = await withTutor(projectId);
    const now = Math.floor(Date.now() / 1000);
    const [today, yesterday, longAgo] = [now - (now % 86_400), now - 86_400, now - 31 * 86_400];
    const used = (presetVersion: number | null, createdAt: number, presetSlug = "tutor") => ({
      ...GENERATION,
      id: `gen_${crypto.randomUUID()}`,
      projectId,
      presetSlug,
      presetVersion,
      createdAt,
    });
    const rows = [used(2, today), used(2, yesterday), used(1, longAgo), used(null, yesterday), used(9, today, "bard")];
    for (const row of rows) await drizzle(env.DB).insert(generations).values(row);
    expect(await (await call("/v1/presets/tutor/usage")).json()).toEqual({
      object: "preset_usage",
      slug: "tutor",
      days: 30,
      versions: [
        { version: 2, generations: 2, generations_today: 1, last_used_at: today },
        { version: null, generations: 1, generations_today: 0, last_used_at: yesterday },
      ],
    });
    await expectError(await call("/v1/presets/bard/usage"), 404, "preset_not_found", /no preset bard/);
  });
});

describe("a preset's sampling", () => {
  it("holds where the request says nothing, before the model's own", async () => {
    const call = await newProject();
    const sampling = { temperature: 0.3, stop: ["END"], max_tokens: 40, seed: 7 };
    await call("/v1/presets", { slug: "calm", sampling });
    expect((await ask(call, "calm")).sampling).toMatchObject({ ...sampling, top_p: 1 });
    const own = { temperature: 0, max_tokens: 5 };
    expect((await ask(call, "calm", own)).sampling).toMatchObject({ ...sampling, ...own });
    expect((await ask(call, "calm", { model: "plain" })).sampling).toMatchObject({ temperature: 0.3, top_p: 0.9 });
  });
});

describe("a preset's variables", () => {
  const TEACHER = {
    slug: "teacher",
    persona: "Teach {{subject}} to {{reader}}.",
    variables: { subject: { required: true }, reader: { default: "a child" } },
  };

  it("are filled with what the request gives, as text", async () => {
    const call = await newProject();
    await call("/v1/presets", TEACHER);
    const persona = async (variables: object) => (await ask(call, "teacher", {}, { variables })).persona;
    expect(await persona({ subject: "maths" })).toBe("Teach maths to a child.");
    expect(await persona({ subject: "{{reader}}", reader: "<|im_end|>" })).toBe("Teach {{reader}} to <|im_end|>.");
  });

  it("that are missing, unknown or not text are a 400 that names them", async () => {
    const call = await newProject();
    await call("/v1/presets", TEACHER);
    const refused = async (steer: object, param: string, message: RegExp) =>
      expectError(await call(PATH, chat("hello", { steer }).body), 400, "invalid_request", message, param);
    await refused({ preset: "teacher" }, "steer.variables.subject", /the preset teacher needs it/);
    const preset = "teacher";
    await refused({ preset, variables: { subject: "x", tone: "y" } }, "steer.variables.tone", /it has reader, subject/);
    await refused({ preset, variables: { subject: 1 } }, "steer.variables.subject", /must be a string/);
    await refused({ variables: { subject: "x" } }, "steer.variables", /name one in steer\.preset/);
  });
});

describe("a key's scopes and allowlist", () => {
  const READS = ["", "/draft", "/versions", "/versions/1", "/diff", "/usage"].map((path) => ["GET", `/tutor${path}`]);
  const WRITES = [
    ["PUT", "/tutor/draft"],
    ["DELETE", "/tutor/draft"],
    ["POST", "/tutor/versions"],
    ["POST", "/tutor/rollback"],
    ["PUT", "/tutor/aliases/live"],
    ["DELETE", "/tutor/aliases/live"],
  ];
  const send = (call: Client, method = "", path = "") =>
    call(`/v1/presets${path}`, undefined, { method, ...(["POST", "PUT"].includes(method) && { body: "{}" }) });

  it.each([
    ["presets:read", [...READS, ["GET", "/export"]]],
    ["presets:write", [...WRITES, ["POST", "/import"]]],
  ])("without %s refuse each route that needs it", async (scope, routes) => {
    const all = ["chat", "presets:read", "presets:write"] as const;
    const call = clientFor(await issueKey({ scopes: all.filter((other) => other !== scope) }));
    for (const [method, path] of routes) {
      const message = new RegExp(`lacks the scope ${scope}`);
      await expectError(await send(call, method, path), 403, "permission_denied", message);
    }
  });

  it("keep a key from everything about a preset that is not on its list", async () => {
    const projectId = `proj_${crypto.randomUUID()}`;
    await withTutor(projectId);
    const call = clientFor(await issueKey({ projectId, presets: ["bard"] }));
    for (const [method, path] of [...READS, ...WRITES]) {
      await expectError(
        await send(call, method, path),
        403,
        "permission_denied",
        /may not use the preset tutor/,
        "slug",
      );
    }
    expect(await (await call("/v1/presets/export")).json()).toMatchObject({ presets: [] });
    const imported = await call("/v1/presets/import", {
      presets: [
        { slug: "bard", published: {} },
        { slug: "tutor", published: {} },
      ],
    });
    await expectError(imported, 403, "permission_denied", /may not use the preset tutor/, "presets.1.slug");
    expect((await call("/v1/presets/bard")).status).toBe(404);
  });
});
