import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, inject, it } from "vitest";
import { app } from "../../edge/app.ts";
import { DEFAULT_SCOPES } from "../../schema/api/keys.ts";
import { chat, expectError, issueKey, ORIGIN } from "./project.ts";
import "./provided.ts";
import type { SeenGeneration } from "./seen.ts";

const [FIRST = "", SECOND = ""] = inject("poolUrls");
const NOWHERE = "http://127.0.0.1:1";
const PATH = "/v1/chat/completions";

/** Sets how a mock worker is; what is left out is as usual. */
async function control(url: string, state: object): Promise<void> {
  await (await fetch(`${url}/control`, { method: "POST", body: JSON.stringify(state) })).text();
}

async function seenAt(url: string, text: string): Promise<SeenGeneration | null> {
  return (await fetch(`${url}/seen?text=${encodeURIComponent(text)}`)).json();
}

/** Where among the two the generation with this last message was seen. */
async function whoSaw(text: string): Promise<string[]> {
  const seen = await Promise.all([FIRST, SECOND].map(async (url) => ((await seenAt(url, text)) === null ? [] : [url])));
  return seen.flat();
}

let pools = 0;

type Entry = { url: string; weight?: number; region?: string; models?: string[] };

/** An edge before a pool of its own, that knows nothing of its workers yet, and a client of it with a key of its own. */
async function edgeBefore(entries: Entry[] = [{ url: FIRST }, { url: SECOND }], tokens = 1_000_000) {
  pools += 1;
  // Spaces mean nothing in JSON, and make it another configuration.
  const WORKERS = JSON.stringify(entries) + " ".repeat(pools);
  const key = await issueKey({ limits: { tokens }, scopes: DEFAULT_SCOPES.secret });
  return (path: string, body?: unknown, init: RequestInit = {}): Response | Promise<Response> => {
    const post = body !== undefined && { method: "POST", body: JSON.stringify(body) };
    const request = new Request(ORIGIN + path, { ...post, ...init, headers: { authorization: `Bearer ${key}` } });
    // A stream ends when it has been read; what follows it, after that.
    return app.fetch(request, { ...env, WORKERS }, createExecutionContext());
  };
}
type Call = Awaited<ReturnType<typeof edgeBefore>>;

/** Asks and reads the answer; returns where it was given. */
async function ask(call: Call, text: string, fields: object = {}): Promise<string> {
  const response = await call(PATH, { ...chat("hello", fields).body, messages: [{ role: "user", content: text }] });
  expect(response.status).toBe(200);
  expect(await response.text()).toContain("世界");
  const places = await whoSaw(text);
  expect(places).toHaveLength(1);
  return places[0] ?? "";
}

const question = () => chat("hello").text;

/** A question that the edge sends to `url` while both workers are free. */
async function questionFor(call: Call, url: string): Promise<string> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const text = question();
    if ((await ask(call, text)) === url) return text;
  }
  throw new Error(`${url} is never asked`);
}

/** Another turn of the conversation that begins so, and the text by which the mock knows it. */
function nextTurn(first: string, behaviour = "hello") {
  const { text } = chat(behaviour);
  const messages = [
    { role: "user", content: first },
    { role: "assistant", content: "Hm." },
    { role: "user", content: text },
  ];
  return { text, body: (fields: object = {}) => ({ model: "steered", messages, max_tokens: 50, ...fields }) };
}

/** Tokens left of those that the key may use in a minute. */
const remaining = async (call: Call) => (await call("/v1/models")).headers.get("x-ratelimit-remaining-tokens");

beforeEach(async () => {
  await Promise.all([FIRST, SECOND].map((url) => control(url, {})));
});

describe("a pool of workers", () => {
  it("serves the models of all of them, and asks one that has the model", async () => {
    await control(SECOND, { models: ["plain", "poet"] });
    const call = await edgeBefore();
    const { data } = await (await call("/v1/models")).json<{ data: { id: string }[] }>();
    expect(data.map(({ id }) => id)).toEqual(["steered", "plain", "poet"]);
    for (let index = 0; index < 4; index++) {
      expect(await ask(call, question(), { model: "poet" })).toBe(SECOND);
      expect(await ask(call, question(), { model: "steered" })).toBe(FIRST);
    }
  });

  it("asks a worker only for the models that its entry names", async () => {
    const call = await edgeBefore([{ url: FIRST, models: ["plain"] }, { url: SECOND }]);
    for (let index = 0; index < 4; index++) expect(await ask(call, question())).toBe(SECOND);
  });

  it("keeps a conversation at one worker, and spreads conversations over all", async () => {
    const call = await edgeBefore();
    const places = new Set<string>();
    for (let index = 0; index < 12; index++) {
      const first = question();
      const place = await ask(call, first);
      places.add(place);
      const { text, body } = nextTurn(first);
      await (await call(PATH, body())).text();
      expect(await whoSaw(text)).toEqual([place]);
    }
    expect(places).toEqual(new Set([FIRST, SECOND]));
  });

  it("moves a conversation away from a worker that is much more loaded, by its own account", async () => {
    const call = await edgeBefore();
    const first = await questionFor(call, FIRST);
    await control(FIRST, { tokens: 50_000 });
    await expect
      .poll(async () => {
        const { text, body } = nextTurn(first);
        await (await call(PATH, body())).text();
        return whoSaw(text);
      })
      .toEqual([SECOND]);
  });

  it("asks the workers of the caller's region first", async () => {
    const call = await edgeBefore([
      { url: FIRST, region: "EU" },
      { url: SECOND, region: "NA" },
    ]);
    for (const [continent, url] of [
      ["EU", FIRST],
      ["NA", SECOND],
    ]) {
      for (let index = 0; index < 4; index++) {
        const { text, body } = chat("hello");
        const init: RequestInit = { cf: { continent } };
        expect((await call(PATH, body, init)).status).toBe(200);
        expect(await whoSaw(text)).toEqual([url]);
      }
    }
  });

  it("measures answers at a worker that is there", async () => {
    const call = await edgeBefore([{ url: NOWHERE }, { url: SECOND }]);
    for (let index = 0; index < 4; index++) {
      const response = await call("/v1/attributes/score", { model: "steered", answer: "It is so." });
      expect(response.status).toBe(200);
    }
  });

  it("that is configured wrongly is a 500 that gives nothing away", async () => {
    const call = await edgeBefore([{ url: "ftp://gpu-1.internal" }]);
    const response = await call("/v1/models");
    const text = await response.clone().text();
    await expectError(response, 500, "internal_error", /list of inference workers is wrong/);
    expect(text).not.toContain("gpu-1");
  });
});

describe("a worker that takes nothing", () => {
  it.each([true, false])("because it is not there costs no caller anything (stream: %s)", async (stream) => {
    const call = await edgeBefore([{ url: NOWHERE }, { url: SECOND }], 1000);
    for (let index = 0; index < 8; index++) expect(await ask(call, question(), { stream })).toBe(SECOND);
    await expect.poll(() => remaining(call)).toBe(String(1000 - 8 * (3 + 5)));
  });

  it.each(["draining", "queue-full"])(
    "because it is %s is passed over before any work, and charged once",
    async (refusing) => {
      const call = await edgeBefore(undefined, 10_000);
      const first = await questionFor(call, FIRST);
      await control(FIRST, { refusing, readiness: refusing === "draining" ? "draining" : "ready" });
      const before = Number(await remaining(call));
      const { text, body } = nextTurn(first);
      const response = await call(PATH, body());
      expect(response.status).toBe(200);
      await response.text();
      expect(await whoSaw(text)).toEqual([SECOND]);
      expect(Number(await remaining(call))).toBe(before - (3 + 1 + 3 + 5));
    },
  );

  it("lets what it has begun be finished, while all that is new goes elsewhere", async () => {
    const call = await edgeBefore();
    const first = await questionFor(call, FIRST);
    const running = nextTurn(first, "brisk");
    const stream = await call(PATH, running.body({ stream: true }));
    await control(FIRST, { refusing: "draining", readiness: "draining" });
    for (let index = 0; index < 6; index++) expect(await ask(call, question())).toBe(SECOND);
    const text = await stream.text();
    expect(text).toMatch(/data: \[DONE\]\n\n$/);
    expect(text).not.toContain('"error"');
    expect(await seenAt(FIRST, running.text)).toMatchObject({ state: "completed", cancels: 0 });
  });

  it("is asked again once it says that it is ready", async () => {
    const call = await edgeBefore();
    const first = await questionFor(call, FIRST);
    await control(FIRST, { refusing: "draining", readiness: "draining" });
    expect((await call(PATH, nextTurn(first).body())).status).toBe(200);
    await control(FIRST, {});
    await expect
      .poll(async () => {
        const { text, body } = nextTurn(first);
        await (await call(PATH, body())).text();
        return whoSaw(text);
      })
      .toEqual([FIRST]);
  });

  it("like all the others says so itself", async () => {
    const call = await edgeBefore();
    await Promise.all([FIRST, SECOND].map((url) => control(url, { refusing: "queue-full" })));
    const response = await call(PATH, chat("hello").body);
    expect(response.headers.get("retry-after")).toBe("3");
    await expectError(response, 429, "queue_full", /full/);
  });

  it("is a 503 with Retry-After where all of them are away, and their models are remembered", async () => {
    const call = await edgeBefore();
    expect((await call("/v1/models")).status).toBe(200);
    await Promise.all([FIRST, SECOND].map((url) => control(url, { readiness: "stuck", refusing: "explodes" })));
    await expect
      .poll(async () => {
        const response = await call(PATH, chat("hello").body);
        return [response.status, response.headers.get("retry-after"), await response.text()];
      })
      .toEqual([503, "5", expect.stringContaining("worker_unavailable")]);
    expect((await call("/v1/models")).status).toBe(200);
  });

  it("leaves the models of the others as they are", async () => {
    const call = await edgeBefore([
      { url: NOWHERE, models: ["steered"] },
      { url: SECOND, models: ["plain"] },
    ]);
    const { data } = await (await call("/v1/models")).json<{ data: { id: string }[] }>();
    expect(data.map(({ id }) => id)).toEqual(["plain"]);
    expect((await call(PATH, chat("hello", { model: "plain" }).body)).status).toBe(200);
  });
});

describe("what another worker would refuse too", () => {
  it("is asked of one only", async () => {
    const call = await edgeBefore();
    const { text, body } = chat("too-long");
    await expectError(await call(PATH, body), 400, "context_length_exceeded", /too long/);
    expect(await whoSaw(text)).toHaveLength(1);
  });

  it("is not sent to all of them where it breaks each, and fails as a 503", async () => {
    const call = await edgeBefore([{ url: FIRST }, { url: SECOND }, { url: NOWHERE }]);
    const { body } = chat("explodes");
    await expectError(await call(PATH, body), 503, "worker_unavailable", /No inference worker is ready/);
  });
});

describe("a worker that is slow to admit a stream", () => {
  it("is not waited for: another one answers, the first is told to stop, and one answer is charged", async () => {
    const call = await edgeBefore(undefined, 10_000);
    const first = await questionFor(call, FIRST);
    await control(FIRST, { silence: 2_600 });
    const before = Number(await remaining(call));
    const { text, body } = nextTurn(first);
    const response = await call(PATH, body({ stream: true }));
    expect(response.status).toBe(200);
    expect(await response.text()).toMatch(/data: \[DONE\]\n\n$/);
    expect(await seenAt(SECOND, text)).toMatchObject({ state: "completed", cancels: 0 });
    await expect.poll(async () => (await seenAt(FIRST, text))?.state ?? "unseen").toMatch(/cancelled|unseen/);
    await expect.poll(async () => Number(await remaining(call))).toBe(before - (3 + 1 + 3 + 5));
  });
});

describe("a client that goes away", () => {
  it("has its generation cancelled at the worker that runs it, and at no other", async () => {
    const call = await edgeBefore();
    const { text, body } = chat("slow", { stream: true });
    const leave = new AbortController();
    const response = await call(PATH, body, { signal: leave.signal });
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    leave.abort();
    const [place = ""] = await whoSaw(text);
    await expect.poll(async () => (await seenAt(place, text))?.cancels).toBe(1);
    expect(await seenAt(place, text)).toMatchObject({ state: "cancelled" });
    expect(await whoSaw(text)).toHaveLength(1);
  });
});
