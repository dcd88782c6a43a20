import { describe, expect, it } from "vitest";
import type { Moderation } from "../../schema/api/moderation.ts";
import { administer, auditOf, createKey, createProject, keyPath } from "./administration.ts";
import { findGeneration, idOf, newTenant, used } from "./kept.ts";
import { chat, clientFor, expectError, issueKey, seenBy } from "./project.ts";
import { ledgerOf } from "./usage-rows.ts";
import { openVisitor, publishableKey } from "./visitor.ts";

const PATH = "/v1/chat/completions";
const BLOCKS: Moderation = { mode: "block", above: 1 };
const ANNOTATES: Moderation = { mode: "annotate", above: 0 };
const LIMIT = 10_000;

/** Words of the prompt and tokens of the mock's answer, where it fails after its tokens. */
const tokensOf = async (text: string) => ((await seenBy(text))?.usage.prompt_tokens ?? Number.NaN) + 2;

describe("the answers of a key with moderation", () => {
  it.each([
    [PATH, (text: string) => ({ messages: [{ role: "user", content: text }] })],
    ["/v1/responses", (text: string) => ({ input: text })],
    [
      "/v1/chat/ui",
      (text: string) => ({ messages: [{ id: "1", role: "user", parts: [{ type: "text", text }] }], stream: true }),
    ],
  ])("are moderated as it says at %s, and by nothing that a request says", async (path, bodyOf) => {
    const { text } = chat("hello");
    const own = { moderation: null, steer: { measure: false }, model: "steered" };
    await (await clientFor(await issueKey({ moderation: BLOCKS }))(path, { ...bodyOf(text), ...own })).text();
    expect((await seenBy(text))?.request.moderation).toEqual(BLOCKS);
  });

  it("are so for its sessions too", async () => {
    const call = await openVisitor(await publishableKey({ moderation: ANNOTATES }));
    const { text, body } = chat("hello");
    await (await call(PATH, body)).text();
    expect((await seenBy(text))?.request.moderation).toEqual(ANNOTATES);
  });

  it("are not where it says nothing", async () => {
    const { text, body } = chat("hello");
    await (await clientFor(await issueKey())(PATH, body)).text();
    expect((await seenBy(text))?.request).not.toHaveProperty("moderation");
  });
});

describe("an answer that is withheld", () => {
  it("is refused as the worker says, and charged exactly", async () => {
    const { call, projectId } = await newTenant({ moderation: BLOCKS, limits: { tokens: LIMIT } });
    const { text, body } = chat("toxic");
    const response = await call(PATH, body);
    await expectError(response, 400, "content_filtered", /Change the conversation/);
    const tokens = await tokensOf(text);
    await expect.poll(() => used(call, LIMIT)).toBe(tokens);
    const [row] = await ledgerOf(projectId);
    expect(row).toMatchObject({ state: "failed", error: "content_filtered", completionTokens: 2, usageKnown: true });
    expect((row?.promptTokens ?? 0) + 2).toBe(tokens);
  });

  it("is the same refusal when it is sent again under its Idempotency-Key, made once", async () => {
    const { call } = await newTenant({ moderation: BLOCKS, limits: { tokens: LIMIT } });
    const { text, body } = chat("toxic");
    const again = { headers: { "idempotency-key": crypto.randomUUID() } };
    const refusals = [];
    for (const _ of [1, 2]) {
      const response = await call(PATH, body, again);
      expect([response.status, response.headers.get("x-should-retry")]).toEqual([400, "false"]);
      refusals.push(await response.text());
    }
    expect(refusals[1]).toBe(refusals[0]);
    await expect.poll(async () => used(call, LIMIT)).toBe(await tokensOf(text));
  });

  it("leaves nothing to read where it was to be stored", async () => {
    const { call } = await newTenant({ moderation: BLOCKS });
    const response = await call(PATH, chat("toxic", { store: true }).body);
    const id = idOf(response);
    await expectError(response, 400, "content_filtered", /Change/);
    await expect.poll(async () => (await findGeneration(call, id)).state).toBe("failed");
    const { error, usage } = await findGeneration(call, id);
    expect(error?.code).toBe("content_filtered");
    expect(usage?.completion_tokens).toBe(2);
    await expectError(await call(`/v1/generations/${id}/content`), 400, "content_filtered", /Change/);
  });

  it("because nobody could read it is not asked for again by clients on their own", async () => {
    const { call } = await newTenant({ moderation: BLOCKS, limits: { tokens: LIMIT } });
    const { text, body } = chat("unread");
    const response = await call(PATH, body);
    expect(response.headers.get("x-should-retry")).toBe("false");
    await expectError(response, 503, "moderation_unavailable", /Try again later/);
    await expect.poll(async () => used(call, LIMIT)).toBe(await tokensOf(text));
  });
});

describe("a key's moderation", () => {
  it("is set with the key, changed, ended, and who did it is known", async () => {
    const project = await createProject();
    const { secret: _, ...key } = await createKey(project, { moderation: BLOCKS });
    expect(key.moderation).toEqual(BLOCKS);
    const change = async (version: number, moderation?: Moderation | null) =>
      (await administer("PATCH", keyPath(key), { version, moderation, name: "renamed" })).json();
    expect(await change(1, ANNOTATES)).toMatchObject({ moderation: ANNOTATES });
    expect(await change(2)).toMatchObject({ moderation: ANNOTATES, name: "renamed" });
    expect(await change(3, null)).toMatchObject({ moderation: null });
    expect((await auditOf(project.id)).map(({ changes }) => changes.moderation)).toEqual([
      null,
      undefined,
      ANNOTATES,
      BLOCKS,
      undefined,
    ]);
  });

  it.each([
    ["moderation.mode", { mode: "delete", above: 1 }],
    ["moderation.above", { mode: "block", above: 4 }],
    ["moderation.above", { mode: "block", above: -1 }],
    ["moderation.above", { mode: "block" }],
    ["moderation", { mode: "block", above: 1, attribute: "humor" }],
  ])("with a wrong %s is refused", async (param, moderation) => {
    const project = await createProject();
    const body = { name: "backend", moderation };
    const response = await administer("POST", `/projects/${project.id}/keys`, body);
    await expectError(response, 400, "invalid_request", /^moderation/, param);
  });
});
