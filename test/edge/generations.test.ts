import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { KeptEvents } from "../../edge/generations/kept/kept-events.ts";
import type { KeptRecord } from "../../edge/generations/kept/kept-record.ts";
import { openKept } from "../../edge/generations/kept/open.ts";
import { MAX_KEPT_BYTES, RETENTION } from "../../schema/api/generations.ts";
import { DONE_LINE, formatFrame } from "../../schema/wire/frames.ts";
import { crash, findGeneration, idOf, lastIdOf, leaveAfter, newTenant, readEvents, runningOf, used } from "./kept.ts";
import { type Client, chat, clientFor, expectError, issueKey, newProject, seenBy } from "./project.ts";

const PATH = "/v1/chat/completions";

const DIALECTS = [
  { path: PATH, bodyOf: (text: string) => ({ messages: [{ role: "user", content: text }], stream: true }) },
  { path: "/v1/responses", bodyOf: (text: string) => ({ input: text, stream: true }) },
  {
    path: "/v1/chat/ui",
    bodyOf: (text: string) => ({ messages: [{ role: "user", parts: [{ type: "text", text }] }] }),
  },
];

/** How a generation ended, by the ledger: once it is there, and nothing is kept any more. */
async function endedOf(projectId: string, call: Client, id: string): Promise<unknown> {
  let answer: Response | undefined;
  const ask = async () => {
    await runDurableObjectAlarm(env.PROJECT_LIMITER.getByName(projectId));
    answer = await call(`/v1/generations/${id}`);
    return answer.status;
  };
  await expect.poll(ask).toBe(200);
  return answer?.json();
}

describe("a resumable stream", () => {
  it("goes on without its client, which reads the rest where it left off, byte for byte", async () => {
    const call = await newProject({ tokens: 10_000 });
    const { text, body } = chat("brisk", { stream: true, resumable: true });
    const response = await call(PATH, body);
    const id = idOf(response);
    const first = await leaveAfter(response, '" 5"');
    const last = lastIdOf(first);
    const events = `/v1/generations/${id}/events`;
    const rest = await readEvents(await call(events, undefined, { headers: { "last-event-id": last } }));
    const whole = await readEvents(await call(events));
    expect(first + rest).toBe(whole);
    expect(whole.endsWith(`${DONE_LINE}\n\n`)).toBe(true);
    expect(await readEvents(await call(`${events}?after=${last.split(":")[1]}`))).toBe(rest);
    const seen = await seenBy(text);
    expect(seen).toMatchObject({ state: "completed", cancels: 0, connectionClosed: false });
    await expect.poll(() => used(call, 10_000)).toBe(seen?.usage.total_tokens);
  });

  it.each(DIALECTS)("of $path is the same for all who read it, while it runs and after", async ({ path, bodyOf }) => {
    const call = await newProject();
    const { text } = chat("brisk");
    const response = await call(path, { model: "steered", resumable: true, ...bodyOf(text) });
    const reading = call(`/v1/generations/${idOf(response)}/events`).then(readEvents);
    const first = await readEvents(response);
    expect(first.match(/^id: /gm)?.length).toBeGreaterThan(20);
    expect(await reading).toBe(first);
    expect(await readEvents(await call(`/v1/generations/${idOf(response)}/events`))).toBe(first);
  });

  it("begins with a comment and keeps its readers' connections open while the worker is silent", async () => {
    const call = await newProject();
    const response = await call(PATH, chat("silent", { stream: true, resumable: true }).body);
    expect(await leaveAfter(response, ": hb\n\n: hb\n\n: hb\n\n")).toBe("");
    await call(`/v1/generations/${idOf(response)}/cancel`, {});
  });

  it("tells how it stands while it runs, and how it ended", async () => {
    const call = await newProject();
    const { body } = chat("brisk", { stream: true, resumable: true, steer: { attributes: { verbosity: 2 } } });
    const response = await call(PATH, body);
    const id = idOf(response);
    await leaveAfter(response, '" 3"');
    const running = await findGeneration(call, id);
    expect(running).toMatchObject({
      id,
      state: "running",
      model: "steered",
      dialect: "openai",
      stream: true,
      steer: { effective: { verbosity: 2 } },
      finished_at: null,
      error: null,
      kept: { until: null },
    });
    expect(running.usage?.completion_tokens).toBeGreaterThanOrEqual(4);
    await (await call(`/v1/generations/${id}/events`)).text();
    const ended = await findGeneration(call, id);
    expect(ended).toMatchObject({ state: "completed", usage: { prompt_tokens: 3, completion_tokens: 25 } });
    expect(ended.kept?.events).toBe(25);
    expect((ended.kept?.until ?? 0) - (ended.finished_at ?? 0)).toBe(RETENTION.resumable);
  });

  it("that the worker breaks off ends in an error for all readers, and costs what was written", async () => {
    const call = await newProject({ tokens: 10_000 });
    const response = await call(PATH, chat("dies", { stream: true, resumable: true }).body);
    const first = await readEvents(response);
    expect(first).toMatch(/data: \{"error":.*broke off.*\n\n$/);
    expect(await readEvents(await call(`/v1/generations/${idOf(response)}/events`))).toBe(first);
    expect(await findGeneration(call, idOf(response))).toMatchObject({
      state: "failed",
      error: { code: "generation_failed" },
      usage: { total_tokens: 6 },
    });
    await expect.poll(() => used(call, 10_000)).toBe(6);
  });

  it("that is refused is not kept, and costs nothing", async () => {
    const call = await newProject({ tokens: 10_000 });
    const response = await call(PATH, chat("queue-full", { stream: true, resumable: true }).body);
    await expectError(response, 429, "queue_full", /full/);
    expect(response.headers.get("retry-after")).toBe("3");
    expect(await used(call, 10_000)).toBe(0);
  });

  it("counts under the limits like any other", async () => {
    const call = await newProject({ tokens: 1000 });
    const refused = await call(PATH, chat("hello", { max_tokens: 2000, store: true }).body);
    await expectError(refused, 429, "rate_limit_exceeded", /never succeed/);
    const call1 = clientFor(await issueKey({ concurrentGenerations: 1 }));
    const response = await call1(PATH, chat("slow", { stream: true, resumable: true }).body);
    await leaveAfter(response, '" 2"');
    expect(await runningOf(call1)).toBe(1);
    expect((await call1(PATH, chat("hello", { resumable: true }).body)).status).toBe(429);
    await call1(`/v1/generations/${idOf(response)}/cancel`, {});
    await expect.poll(() => runningOf(call1)).toBe(0);
  });

  it.each([
    ["?after=x", {}, "after", /sequence number/],
    ["?after=-1", {}, "after", /sequence number/],
    ["", { "last-event-id": "gen_0000000000000000000000000:1:1" }, "Last-Event-ID", /id of an event of gen_/],
  ])("says what is wrong with %s %o", async (query, headers, param, message) => {
    const call = await newProject();
    const response = await call(PATH, chat("hello", { stream: true, resumable: true }).body);
    const wrong = await call(`/v1/generations/${idOf(response)}/events${query}`, undefined, { headers });
    await expectError(wrong, 400, "invalid_request", message, param);
  });
});

describe("cancelling", () => {
  it.each([
    [PATH, /data: \{"error":\{"message":"The generation was cancelled.*"code":"generation_cancelled"\}\}\n\n$/],
    ["/v1/responses", /event: error\ndata: .*"code":"generation_cancelled"\}\}\n\n$/],
    ["/v1/chat/ui", /data: \{"type":"abort".*\}\n\ndata: \[DONE\]\n\n$/],
  ])("ends the generation of %s for all who read it, and charges exactly what it used", async (path, end) => {
    const call = await newProject({ tokens: 10_000 });
    const { text } = chat("slow");
    const bodyOf = DIALECTS.find((dialect) => dialect.path === path)?.bodyOf;
    const response = await call(path, { model: "steered", resumable: true, ...bodyOf?.(text) });
    const id = idOf(response);
    await leaveAfter(response, '" 5"');
    const reading = call(`/v1/generations/${id}/events`).then(readEvents);
    const cancelled = await (await call(`/v1/generations/${id}/cancel`, {})).json();
    expect(cancelled).toMatchObject({ id, state: "cancelled", error: null });
    expect(await reading).toMatch(end);
    const seen = await seenBy(text);
    expect(seen).toMatchObject({ state: "cancelled", connectionClosed: true, cancels: 1 });
    expect(cancelled).toMatchObject({ usage: seen?.usage });
    await expect.poll(() => used(call, 10_000)).toBe(seen?.usage.total_tokens);
    expect(await (await call(`/v1/generations/${id}/cancel`, {})).json()).toEqual(cancelled);
    expect((await seenBy(text))?.cancels).toBe(1);
  });

  it("what has ended changes nothing", async () => {
    const call = await newProject();
    const response = await call(PATH, chat("hello", { stream: true, resumable: true }).body);
    const whole = await readEvents(response);
    const id = idOf(response);
    expect(await (await call(`/v1/generations/${id}/cancel`, {})).json()).toMatchObject({ state: "completed" });
    expect(await readEvents(await call(`/v1/generations/${id}/events`))).toBe(whole);
  });
});

describe("a stored answer", () => {
  it("without streaming is read again as it was", async () => {
    const call = await newProject({ tokens: 10_000 });
    const response = await call(PATH, chat("hello", { store: true }).body);
    const body = await response.text();
    const id = idOf(response);
    const again = await call(`/v1/generations/${id}/content`);
    expect([again.status, await again.text()]).toEqual([200, body]);
    const generation = await findGeneration(call, id);
    expect(generation).toMatchObject({ state: "completed", stream: false, usage: { total_tokens: 8 } });
    expect((generation.kept?.until ?? 0) - (generation.finished_at ?? 0)).toBe(RETENTION.stored);
    await expectError(await call(`/v1/generations/${id}/events`), 400, "invalid_request", /\/content/);
    await expect.poll(() => used(call, 10_000)).toBe(8);
  });

  it("goes on without its client, and whoever reads it waits for it", async () => {
    const call = await newProject();
    const { text, body } = chat("silent", { store: true });
    const abort = new AbortController();
    const answer = call(PATH, body, { signal: abort.signal });
    await expect.poll(() => seenBy(text)).not.toBeNull();
    abort.abort();
    await expect(answer).rejects.toThrow();
    const id = (await seenBy(text))?.request.generation ?? "";
    const reading = call(`/v1/generations/${id}/content`);
    expect(await seenBy(text)).toMatchObject({ state: "running", connectionClosed: false });
    await call(`/v1/generations/${id}/cancel`, {});
    const read = await reading;
    expect(read.headers.get("x-should-retry")).toBe("false");
    await expectError(read, 409, "generation_cancelled", /cancelled/);
  });

  it("of the Responses API says that it is stored", async () => {
    const call = await newProject();
    const { text } = chat("hello");
    await call("/v1/responses", { model: "steered", input: text, store: true });
    expect((await seenBy(text))?.request.echo).toMatchObject({ store: true });
  });

  it("is gone once it is deleted, and what it used is still known", async () => {
    const call = await newProject();
    const response = await call(PATH, chat("hello", { store: true, stream: true }).body);
    await response.text();
    const id = idOf(response);
    const deleted = await (await call(`/v1/generations/${id}`, undefined, { method: "DELETE" })).json();
    expect(deleted).toMatchObject({ id, state: "completed", kept: null, usage: { total_tokens: 8 } });
    await expectError(await call(`/v1/generations/${id}/events`), 410, "not_kept", /not kept: it was deleted/);
  });

  it("that is deleted while it runs is cancelled", async () => {
    const call = await newProject();
    const { text, body } = chat("slow", { store: true, stream: true });
    const response = await call(PATH, body);
    await leaveAfter(response, '" 2"');
    const answer = await call(`/v1/generations/${idOf(response)}`, undefined, { method: "DELETE" });
    expect(await answer.json()).toMatchObject({ state: "cancelled", kept: null });
    expect(await seenBy(text)).toMatchObject({ state: "cancelled" });
  });

  it("that is larger than what is kept of one is ended with an error", async () => {
    const call = await newProject();
    const { text, body } = chat("huge", { store: true, stream: true });
    const response = await call(PATH, body);
    await response.body?.cancel();
    const id = idOf(response);
    const state = async () => (await findGeneration(call, id)).state;
    await expect.poll(state, { timeout: 25_000, interval: 500 }).toBe("failed");
    const { error, kept } = await findGeneration(call, id);
    expect(error?.message).toContain(`larger than ${MAX_KEPT_BYTES} bytes`);
    expect(kept?.bytes).toBeLessThanOrEqual(MAX_KEPT_BYTES + 1000);
    const end = await readEvents(await call(`/v1/generations/${id}/events?after=${(kept?.events ?? 0) - 2}`));
    expect(end).toMatch(/^id: .*\ndata: .*xxx.*\n\ndata: \{"error":.*larger than.*\n\n$/);
    expect(await seenBy(text)).toMatchObject({ cancels: 1 });
  });

  it("is forgotten when its time is over, and not before", async () => {
    const { projectId, call } = await newTenant();
    const response = await call(PATH, chat("hello", { store: true }).body);
    await response.text();
    const kept = openKept(env, projectId, idOf(response));
    await runDurableObjectAlarm(kept);
    expect((await call(`/v1/generations/${idOf(response)}/content`)).status).toBe(200);
    await runInDurableObject(kept, (_, { storage }) => {
      const record = storage.kv.get<KeptRecord>("record");
      if (record?.ending == null) throw new Error("it runs");
      storage.kv.put("record", { ...record, ending: { ...record.ending, at: Date.now() - RETENTION.stored * 1000 } });
    });
    await crash(projectId, idOf(response));
    const restarted = openKept(env, projectId, idOf(response));
    await runDurableObjectAlarm(restarted);
    expect(await endedOf(projectId, call, idOf(response))).toMatchObject({ state: "completed", kept: null });
    await expectError(await call(`/v1/generations/${idOf(response)}/content`), 410, "not_kept", /its time is over/);
    expect(await runInDurableObject(restarted, (_, { storage }) => [...storage.kv.list()])).toEqual([]);
  });
});

describe("a generation", () => {
  it("is nobody's business but its project's", async () => {
    const { projectId, call } = await newTenant();
    const response = await call(PATH, chat("hello", { store: true }).body);
    const id = idOf(response);
    const stranger = await newProject();
    for (const path of ["", "/content", "/events"]) {
      await expectError(await stranger(`/v1/generations/${id}${path}`), 404, "not_found", /known here/);
    }
    expect((await stranger(`/v1/generations/${id}/cancel`, {})).status).toBe(404);
    expect((await stranger(`/v1/generations/${id}`, undefined, { method: "DELETE" })).status).toBe(404);
    const colleague = clientFor(await issueKey({ projectId }));
    expect((await colleague(`/v1/generations/${id}/content`)).status).toBe(200);
    const reader = clientFor(await issueKey({ projectId, scopes: ["models:read"] }));
    expect((await reader(`/v1/generations/${id}/content`)).status).toBe(403);
  });

  it.each(["gen_short", `gen_${"0".repeat(24)}`, "resp_1", `gen_${"0".repeat(100)}`])(
    "that nobody asked for, %s, is not found",
    async (id) => {
      const call = await newProject();
      await expectError(await call(`/v1/generations/${id}`), 404, "not_found", /No generation/);
    },
  );
});

describe("a generation whose answer is not kept", () => {
  const unkept = async (behaviour: string, call: Client) => {
    const response = await call(PATH, chat(behaviour, { stream: true }).body);
    await (behaviour === "slow" ? leaveAfter(response, '" 3"') : response.text());
    return idOf(response);
  };

  it.each([
    ["hello", { state: "completed", error: null, usage: { total_tokens: 8 } }],
    ["slow", { state: "cancelled", error: null }],
    ["dies", { state: "failed", error: { code: "generation_failed" }, usage: { total_tokens: 6 } }],
  ])("is known from shortly after its end, whichever it is (%s)", async (behaviour, ending) => {
    const { projectId, call } = await newTenant();
    const id = await unkept(behaviour, call);
    const ended = await endedOf(projectId, call, id);
    expect(ended).toMatchObject({ object: "generation", id, model: "steered", stream: true, kept: null, ...ending });
    expect(await (await call(`/v1/generations/${id}/cancel`, {})).json()).toMatchObject({ id, ...ending });
    await expectError(await call(`/v1/generations/${id}/events`), 410, "not_kept", /not kept/);
    expect((await (await newProject())(`/v1/generations/${id}`)).status).toBe(404);
  });
});

describe("what is kept", () => {
  it("comes back as it was, also where one event is larger than a row of the database", async () => {
    const { projectId, call } = await newTenant();
    const id = idOf(await call(PATH, chat("hello", { store: true }).body));
    const whole = await runInDurableObject(openKept(env, projectId, id), (_, { storage }) => {
      const events = new KeptEvents(storage);
      events.clear();
      const frame = (sequence: number, length: number) =>
        formatFrame({ text: "é".repeat(length) }, { generation: id, sequence, completionTokens: sequence });
      const frames = [frame(0, 10), frame(1, 1_600_000), frame(2, 10)];
      events.append([new TextEncoder().encode(frames.join(""))], true);
      const readFrom = (start: number) => {
        let text = "";
        const decoder = new TextDecoder();
        for (let read = events.readAfter(start); read.bytes.length > 0; read = events.readAfter(read.position)) {
          text += decoder.decode(read.bytes, { stream: true });
        }
        return text;
      };
      const size = events.size();
      const after = [0, 1].map((sequence) => readFrom(events.positionAfter(sequence)));
      return {
        same: readFrom(0) === frames.join(""),
        rest: after.map((text, sequence) => text === frames.slice(sequence + 1).join("")),
        size,
        next: events.nextSequence(),
      };
    });
    expect(whole).toMatchObject({ same: true, rest: [true, true], size: { events: 3, completionTokens: 2 }, next: 3 });
  });
});

describe("an object that crashes while its generation runs", () => {
  it("ends the stream in an error, frees its place, and charges what the worker counted", async () => {
    const { projectId, call } = await newTenant({ limits: { tokens: 10_000 }, concurrentGenerations: 1 });
    const { text, body } = chat("slow", { stream: true, resumable: true });
    const response = await call(PATH, body);
    const id = idOf(response);
    const first = await leaveAfter(response, '" 5"');
    await crash(projectId, id);
    const whole = await readEvents(await call(`/v1/generations/${id}/events`));
    expect(whole.startsWith(first)).toBe(true);
    expect(whole).toMatch(/data: \{"error":.*restarted.*"generation_failed"\}\}\n\n$/);
    await expect.poll(() => runningOf(call)).toBe(0);
    const seen = await seenBy(text);
    expect(seen).toMatchObject({ state: "cancelled" });
    expect(await findGeneration(call, id)).toMatchObject({ state: "failed", usage: seen?.usage });
    await expect.poll(() => used(call, 10_000)).toBe(seen?.usage.total_tokens);
  });

  it("is found out by itself, also where nobody reads", async () => {
    const { projectId, call } = await newTenant({ limits: { tokens: 10_000 } });
    const { text, body } = chat("slow", { stream: true, resumable: true });
    const response = await call(PATH, body);
    await leaveAfter(response, '" 2"');
    await crash(projectId, idOf(response));
    await runDurableObjectAlarm(openKept(env, projectId, idOf(response)));
    await expect.poll(() => seenBy(text)).toMatchObject({ state: "cancelled" });
    const seen = await seenBy(text);
    await expect.poll(() => used(call, 10_000)).toBe(seen?.usage.total_tokens);
  });

  it("after its end and before the limits knew of it charges what was used, once", async () => {
    const { projectId, call } = await newTenant({ limits: { tokens: 10_000 }, concurrentGenerations: 1 });
    const response = await call(PATH, chat("hello", { store: true }).body);
    await response.text();
    for (const _ of ["lost", "told twice"]) {
      await runInDurableObject(openKept(env, projectId, idOf(response)), (_, { storage }) => {
        const record = storage.kv.get<KeptRecord>("record");
        storage.kv.put("record", { ...record, settled: false });
      });
      await crash(projectId, idOf(response));
      await runDurableObjectAlarm(openKept(env, projectId, idOf(response)));
    }
    await expect.poll(() => runningOf(call)).toBe(0);
    expect(await used(call, 10_000)).toBe(8);
  });

  it("tells those who are reading that they can read on", async () => {
    const { projectId, call } = await newTenant();
    const response = await call(PATH, chat("slow", { stream: true, resumable: true }).body);
    const id = idOf(response);
    const events = call(`/v1/generations/${id}/events`);
    const reading = events.then(readEvents);
    await leaveAfter(response, '" 2"');
    await crash(projectId, id);
    expect(await reading).toMatch(new RegExp(`data: \\{"error":.*/v1/generations/${id}/events`));
  });
});
