import { describe, expect, it } from "vitest";
import { crash, findGeneration, idOf, leaveAfter, newTenant, readEvents, used } from "./kept.ts";
import { chat, clientFor, expectError, issueKey, newProject, seenBy } from "./project.ts";
import { openVisitor, publishableKey } from "./visitor.ts";

const PATH = "/v1/chat/completions";

const once = (key: string = crypto.randomUUID()) => ({ headers: { "idempotency-key": key } });
const wasReplayed = (response: Response) => response.headers.get("idempotent-replayed");

describe("a request with an Idempotency-Key", () => {
  it("that is sent again gets the same answer, made and charged once", async () => {
    const call = await newProject({ tokens: 10_000 });
    const { text, body } = chat("hello");
    const key = once();
    const first = await call(PATH, body, key);
    expect([first.status, wasReplayed(first)]).toEqual([200, null]);
    const answer = await first.text();
    const again = await call(PATH, body, key);
    expect([again.status, wasReplayed(again), await again.text()]).toEqual([200, "true", answer]);
    expect(idOf(again)).toBe(idOf(first));
    expect((await seenBy(text))?.request.generation).toBe(idOf(first));
    await expect.poll(() => used(call, 10_000)).toBe(8);
  });

  it("replays a stream byte for byte, also while it still runs and its first client has gone", async () => {
    const call = await newProject({ tokens: 10_000 });
    const { text, body } = chat("brisk", { stream: true });
    const key = once();
    const first = await leaveAfter(await call(PATH, body, key), '" 5"');
    const again = await call(PATH, body, key);
    expect(wasReplayed(again)).toBe("true");
    const whole = await readEvents(again);
    expect(whole.startsWith(first)).toBe(true);
    expect(await readEvents(await call(PATH, body, key))).toBe(whole);
    expect(await seenBy(text)).toMatchObject({ state: "completed", cancels: 0 });
    await expect.poll(() => used(call, 10_000)).toBe((await seenBy(text))?.usage.total_tokens);
  });

  it.each([false, true])("sent twice at once makes one generation (streamed: %s)", async (stream) => {
    const call = await newProject({ tokens: 10_000 });
    const { body } = chat("hello", { stream });
    const key = once();
    const answers = await Promise.all([1, 2, 3].map(() => call(PATH, body, key)));
    const texts = await Promise.all(answers.map(readEvents));
    expect(new Set(answers.map(idOf)).size).toBe(1);
    expect(new Set(texts).size).toBe(1);
    expect(answers.map(wasReplayed).toSorted()).toEqual([null, "true", "true"]);
    await expect.poll(() => used(call, 10_000)).toBe(8);
  });

  it("is refused with another body, or at another route", async () => {
    const call = await newProject();
    const { text, body } = chat("hello");
    const key = once();
    await (await call(PATH, body, key)).text();
    const changed = await call(PATH, { ...body, max_tokens: 49 }, key);
    await expectError(changed, 422, "idempotency_mismatch", /same request, or another key/, "Idempotency-Key");
    const elsewhere = await call("/v1/responses", { model: "steered", input: text }, key);
    await expectError(elsewhere, 422, "idempotency_mismatch", /same request, or another key/);
  });

  it("counts as a request each time", async () => {
    const call = await newProject({ requests: 2 });
    const { body } = chat("hello");
    const key = once();
    const statuses = [];
    for (let count = 0; count < 3; count += 1) statuses.push((await call(PATH, body, key)).status);
    expect(statuses).toEqual([200, 200, 429]);
  });

  it("that failed before anything was generated may be tried again", async () => {
    const call = await newProject({ tokens: 10_000 });
    const key = once();
    const { body } = chat("queue-full", { stream: true });
    for (const _ of [1, 2]) {
      const refused = await call(PATH, body, key);
      expect(wasReplayed(refused)).toBeNull();
      await expectError(refused, 429, "queue_full", /full/);
    }
    const large = chat("hello", { max_tokens: 20_000 });
    await expectError(await call(PATH, large.body, key), 429, "rate_limit_exceeded", /never/);
    const { body: good } = chat("hello");
    const answer = await call(PATH, good, key);
    expect([answer.status, wasReplayed(answer)]).toEqual([200, null]);
    expect(await used(call, 10_000)).toBeLessThan(10_000);
  });

  it("that failed half-way fails the same way again", async () => {
    const call = await newProject();
    const { body } = chat("dies", { stream: true });
    const key = once();
    const first = await readEvents(await call(PATH, body, key));
    expect(first).toContain("broke off");
    expect(await readEvents(await call(PATH, body, key))).toBe(first);
    const whole = chat("fails");
    const another = once();
    for (const replayed of [null, "true"]) {
      const failed = await call(PATH, whole.body, another);
      expect(wasReplayed(failed)).toBe(replayed);
      expect(failed.headers.get("x-should-retry")).toBe("false");
      await expectError(failed, 500, "generation_failed", /worker failed/);
    }
  });

  it("whose object crashed before the first token is made anew", async () => {
    const { projectId, call } = await newTenant();
    const { text, body } = chat("silent", { stream: true });
    const key = once();
    const response = await call(PATH, body, key);
    const id = idOf(response);
    await leaveAfter(response, ": hb");
    await crash(projectId, id);
    await expect.poll(async () => (await findGeneration(call, id)).state).toBe("failed");
    await expect.poll(async () => idOf(await call(PATH, body, key))).not.toBe(id);
    const generation = (await seenBy(text))?.request.generation ?? "";
    expect(generation).not.toBe(id);
    await call(`/v1/generations/${generation}/cancel`, {});
  });

  it("is another's with another API key, or for another end user", async () => {
    const { projectId, call } = await newTenant();
    const key = once("order-1");
    const { body } = chat("hello");
    const answer = await call(PATH, body, key);
    const colleague = await clientFor(await issueKey({ projectId }))(PATH, body, key);
    expect([wasReplayed(colleague), idOf(colleague) === idOf(answer)]).toEqual([null, false]);
    const publishable = await publishableKey({ projectId });
    const [ann, bob, nobody] = await Promise.all(
      ["ann", "bob", undefined].map((endUser) => openVisitor(publishable, endUser)),
    );
    const anns = await ann?.(PATH, body, key);
    const bobs = await bob?.(PATH, body, key);
    expect([anns, bobs].map((response) => response && wasReplayed(response))).toEqual([null, null]);
    const again = await ann?.(PATH, body, key);
    expect(again && [wasReplayed(again), idOf(again) === (anns && idOf(anns))]).toEqual(["true", true]);
    const refused = await nobody?.(PATH, body, key);
    if (refused === undefined) throw new Error("no session");
    await expectError(refused, 400, "invalid_request", /end_user/, "Idempotency-Key");
  });

  it("whose answer was deleted is not made again", async () => {
    const call = await newProject();
    const { body } = chat("hello");
    const key = once();
    const id = idOf(await call(PATH, body, key));
    await call(`/v1/generations/${id}`, undefined, { method: "DELETE" });
    await expectError(await call(PATH, body, key), 410, "not_kept", new RegExp(id));
  });

  it("that is too long is a 400", async () => {
    const call = await newProject();
    const response = await call(PATH, chat("hello").body, once("x".repeat(256)));
    await expectError(response, 400, "invalid_request", /1 to 255/, "Idempotency-Key");
  });
});

describe("a visitor of a page", () => {
  it("sees what was asked for in its own name, and nothing else", async () => {
    const publishable = await publishableKey();
    const [ann, annElsewhere, bob] = await Promise.all(
      ["ann", "ann", "bob"].map((endUser) => openVisitor(publishable, endUser)),
    );
    const response = await ann?.(PATH, chat("hello", { store: true }).body);
    const id = response === undefined ? "" : idOf(response);
    expect((await annElsewhere?.(`/v1/generations/${id}/content`))?.status).toBe(200);
    expect((await bob?.(`/v1/generations/${id}/content`))?.status).toBe(404);
  });
});
