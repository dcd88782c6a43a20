import {
  createExecutionContext,
  evictDurableObject,
  runDurableObjectAlarm,
  waitOnExecutionContext,
} from "cloudflare:test";
import { env } from "cloudflare:workers";
import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { app } from "../../edge/app.ts";
import type { UsageRecord } from "../../edge/usage/usage-record.ts";
import { writeRecords } from "../../edge/usage/write-records.ts";
import { type Client, chat, clientFor, issueKey, ORIGIN, seenBy } from "./project.ts";
import { ledgerOf, limiterOf, usageRecord } from "./usage-rows.ts";

const CHAT = "/v1/chat/completions";
const PAGE = "https://shop.example";

/** A client of a project of its own, and what the ledger has of it once there are so many rows. */
async function ledgerClient(columns: Parameters<typeof issueKey>[0] = {}) {
  const projectId = `proj_${crypto.randomUUID()}`;
  const call = clientFor(await issueKey({ projectId, ...columns }));
  const rows = async (count: number) => {
    await expect.poll(async () => (await ledgerOf(projectId)).length).toBe(count);
    return ledgerOf(projectId);
  };
  return { projectId, call, rows };
}

const ask = async (call: Client, behaviour: string, fields: object = {}) => {
  const { text, body } = chat(behaviour, fields);
  const response = await call(CHAT, body);
  await response.text();
  return { text, status: response.status };
};

describe("the ledger", () => {
  it("has one row for a generation: whose, what, how long, how much, and nothing that was said", async () => {
    const { projectId, call, rows } = await ledgerClient({ id: "key_ledger" });
    const before = Math.floor(Date.now() / 1000);
    const { text } = await ask(call, "hello", { stream: true, steer: { attributes: { verbosity: 3 } } });
    const [row] = await rows(1);
    const seen = await seenBy(text);
    expect(row).toMatchObject({
      id: seen?.request.generation,
      projectId,
      keyId: "key_ledger",
      endUser: null,
      presetSlug: null,
      model: "steered",
      dialect: "openai",
      choices: 1,
      attributes: { toxicity: 0, helpfulness: 4, verbosity: 3 },
      streamed: true,
      state: "completed",
      error: null,
      promptTokens: seen?.usage.prompt_tokens,
      completionTokens: seen?.usage.completion_tokens,
      usageKnown: true,
      requestId: expect.stringMatching(/^req_/),
    });
    expect(row?.createdAt).toBeGreaterThanOrEqual(before);
    expect(row?.durationMs).toBeGreaterThanOrEqual(row?.firstByteMs ?? Number.POSITIVE_INFINITY);
    expect(JSON.stringify(row)).not.toContain(text);
  });

  it.each([
    ["hello", true, "completed", null, { completion: 5 }],
    ["hello", false, "completed", null, { completion: 5 }],
    ["fails", true, "failed", "generation_failed", { completion: 3 }],
    ["fails", false, "failed", "generation_failed", { completion: 2 }],
    ["dies", true, "failed", "generation_failed", { completion: 3 }],
    ["queue-full", true, "failed", "queue_full", { prompt: 0, completion: 0 }],
    ["too-long", false, "failed", "context_length_exceeded", { prompt: 0, completion: 0 }],
    ["explodes", true, "failed", "worker_unavailable", { prompt: 0, completion: 0 }],
  ] as const)("knows how %s (stream: %s) ended: %s, %s", async (behaviour, stream, state, error, tokens) => {
    const { call, rows } = await ledgerClient();
    await ask(call, behaviour, { stream });
    const [row] = await rows(1);
    expect(row).toMatchObject({ state, error, usageKnown: true, completionTokens: tokens.completion });
    expect(row?.promptTokens).toBe("prompt" in tokens ? tokens.prompt : 3);
  });

  it("has what was used by those who went away, by the worker's own count", async () => {
    const { call, rows } = await ledgerClient();
    const { text, body } = chat("slow", { stream: true });
    const reader = (await call(CHAT, body)).body?.getReader();
    await expect
      .poll(async () => {
        await reader?.read();
        return (await seenBy(text))?.usage.completion_tokens ?? 0;
      })
      .toBeGreaterThan(2);
    await reader?.cancel();
    const [row] = await rows(1);
    expect(row).toMatchObject({
      state: "cancelled",
      error: null,
      usageKnown: true,
      completionTokens: (await seenBy(text))?.usage.completion_tokens,
    });
  });

  it("has no row for a request that was refused before it was one: wrong, forbidden or over a limit", async () => {
    const { projectId, call, rows } = await ledgerClient({ concurrentGenerations: 1, tokensPerMonth: 200 });
    expect((await call(CHAT, { model: "steered", messages: [] })).status).toBe(400);
    expect((await call(CHAT, chat("hello", { max_tokens: 500 }).body)).status).toBe(429);
    await ask(call, "hello");
    expect(await rows(1)).toHaveLength(1);
    expect(await ledgerOf(projectId)).toHaveLength(1);
  });

  it("has preset and end user where there were some", async () => {
    const projectId = `proj_${crypto.randomUUID()}`;
    const editor = clientFor(await issueKey({ projectId }));
    expect((await editor("/v1/presets", { slug: "pirate", persona: "You are a pirate." })).status).toBe(201);
    const page = await issueKey({ projectId, kind: "publishable", origins: [PAGE], scopes: ["chat"] });
    const headers = { origin: PAGE };
    const opened = await clientFor(page)("/v1/sessions", { end_user: "ann" }, { method: "POST", headers });
    const { token } = await opened.json<{ token: string }>();
    const { body } = chat("hello", { model: "steered@pirate" });
    const answers = [
      await editor(CHAT, body),
      await clientFor(token)(CHAT, chat("hello").body, { method: "POST", headers }),
    ];
    for (const answer of answers) expect(answer.status).toBe(200);
    await expect.poll(async () => (await ledgerOf(projectId)).length).toBe(2);
    const rows = await ledgerOf(projectId);
    expect(rows.map(({ presetSlug, endUser }) => [presetSlug, endUser])).toEqual(
      expect.arrayContaining([
        ["pirate", null],
        [null, "ann"],
      ]),
    );
  });

  it("costs no call of its own: not before the answer, and none after it but the one that settles", async () => {
    const calls: string[] = [];
    const PROJECT_LIMITER = new Proxy(env.PROJECT_LIMITER, {
      get: (target, name) =>
        name === "getByName"
          ? (project: string) => {
              calls.push("limiter");
              return target.getByName(project);
            }
          : Reflect.get(target, name),
    });
    const DB = new Proxy(env.DB, {
      get: (target, name) =>
        name === "prepare"
          ? (query: string) => {
              calls.push("database");
              return target.prepare(query);
            }
          : Reflect.get(target, name),
    });
    const headers = { authorization: `Bearer ${await issueKey()}` };
    const body = JSON.stringify(chat("hello", { stream: true }).body);
    const request = new Request(ORIGIN + CHAT, { method: "POST", body, headers });
    const context = createExecutionContext();
    const response = await app.fetch(request, { ...env, PROJECT_LIMITER, DB }, context);
    // The key is looked up, and the limits decide.
    expect(calls).toEqual(["database", "limiter"]);
    await response.text();
    await waitOnExecutionContext(context);
    expect(calls).toEqual(["database", "limiter", "limiter"]);
  });

  it("has every generation of a key that is so busy that it is served out of leases", async () => {
    const { call, rows } = await ledgerClient({ limits: { requests: 100_000, tokens: 100_000_000 } });
    for (let round = 0; round < 6; round++) {
      await Promise.all(Array.from({ length: 10 }, () => ask(call, "hello")));
    }
    const all = await rows(60);
    expect(new Set(all.map(({ id }) => id)).size).toBe(60);
    expect(all.every(({ completionTokens }) => completionTokens === 5)).toBe(true);
  });
});

/** What may happen to records on their way. */
type Step =
  | { kind: "deliver"; count: number; again: boolean }
  | { kind: "database"; reachable: boolean }
  | { kind: "restart" }
  | { kind: "alarm" };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("deliver" as const),
        count: fc.integer({ min: 1, max: 4 }),
        again: fc.boolean(),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("database" as const), reachable: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart" as const) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("alarm" as const) }) },
  ),
  { minLength: 3, maxLength: 14 },
);

describe("a record on its way into the ledger", () => {
  afterEach(() => vi.restoreAllMocks());

  /** Takes the table away, as a database that cannot be written, and gives it back. */
  const setReachable = (reachable: boolean) =>
    env.DB.exec(
      `ALTER TABLE ${reachable ? "hidden" : "generations"} RENAME TO ${reachable ? "generations" : "hidden"}`,
    );

  it("arrives exactly once, whatever fails, restarts or is told twice meanwhile", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    await fc.assert(
      fc.asyncProperty(steps, async (sequence) => {
        const projectId = `proj_${crypto.randomUUID()}`;
        const sent: UsageRecord[] = [];
        let reachable = true;
        for (const step of sequence) {
          switch (step.kind) {
            case "deliver": {
              const some = Array.from({ length: step.count }, () =>
                usageRecord({ projectId, promptTokens: 1 + (sent.length % 7), completionTokens: sent.length % 11 }),
              );
              sent.push(...some);
              await limiterOf(projectId).settle([], some);
              if (step.again) await limiterOf(projectId).settle([], sent.slice(-3));
              break;
            }
            case "database":
              if (step.reachable !== reachable) await setReachable(step.reachable);
              reachable = step.reachable;
              break;
            case "restart":
              // Only what runs can be stopped.
              await limiterOf(projectId).settle([]);
              await evictDurableObject(limiterOf(projectId));
              break;
            case "alarm":
              await runDurableObjectAlarm(limiterOf(projectId));
          }
        }
        if (!reachable) await setReachable(true);
        const rows = await ledgerOf(projectId);
        const sum = (all: readonly UsageRecord[]) =>
          all.reduce((total, row) => total + row.promptTokens + row.completionTokens, 0);
        expect(rows.map(({ id }) => id).sort()).toEqual(sent.map(({ id }) => id).sort());
        expect(sum(rows)).toBe(sum(sent));
        // All were written: nothing is left to wake up for.
        expect(await runDurableObjectAlarm(limiterOf(projectId))).toBe(false);
      }),
      { numRuns: 15 },
    );
  });

  it("waits while the database cannot be written, and is then written by itself", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const record = usageRecord({ projectId: "proj_waits" });
    await setReachable(false);
    try {
      await limiterOf("proj_waits").settle([], [record]);
      await runDurableObjectAlarm(limiterOf("proj_waits"));
    } finally {
      await setReachable(true);
    }
    const rows = () => env.DB.prepare("SELECT id FROM generations WHERE project_id = 'proj_waits'").all();
    await expect.poll(async () => (await rows()).results).toEqual([{ id: record.id }]);
  });

  it("is written as it is, whatever its texts hold", async () => {
    const record = usageRecord({ projectId: "proj_texts", endUser: `O'Brien", \n null 👋🏽 $.x --`, attributes: null });
    await limiterOf("proj_texts").settle([], [record]);
    expect(await ledgerOf("proj_texts")).toEqual([record]);
  });

  it("takes the place of those that are older than they are kept, in its project only", async () => {
    const now = Date.parse("2026-11-24T12:00:00Z");
    const day = 86_400;
    const at = (days: number) => now / 1000 - days * day;
    const [old, kept] = [401, 399].map((days) => usageRecord({ projectId: "proj_old", createdAt: at(days) }));
    const other = usageRecord({ projectId: "proj_other", createdAt: at(500) });
    const write = (records: (UsageRecord | undefined)[], when: number) =>
      writeRecords(
        env.DB,
        records.map((record) => JSON.stringify(record)),
        when,
      );
    await write([old, kept, other], now - 300 * day * 1000);
    const fresh = usageRecord({ projectId: "proj_old", createdAt: at(0) });
    await write([fresh], now);
    expect((await ledgerOf("proj_old")).map(({ id }) => id)).toEqual([kept?.id, fresh.id]);
    expect(await ledgerOf("proj_other")).toHaveLength(1);
  });
});
