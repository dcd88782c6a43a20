import { afterEach, describe, expect, it, vi } from "vitest";
import { BODY_LIMIT, DEPTH_LIMIT, readJson } from "../../edge/body.ts";
import { MOST_HEADER_CHARACTERS, MOST_HEADERS } from "../../edge/headers.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import { administer, createProject } from "./administration.ts";
import { callApp, chat, expectError, issueKey, newProject, ORIGIN } from "./project.ts";
import { publishableKey } from "./visitor.ts";

const CHAT = "/v1/chat/completions";

/** A list of one list of one list, so many deep. */
const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);

/** A body of which this arrives, and then nothing more. */
const stalledAfter = (text: string) =>
  new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(new TextEncoder().encode(text)) });

describe("a body", () => {
  it.each([CHAT, "/v1/presets", "/v1/responses", "/v1/chat/ui"])(
    "with too many lists in one another is a 400 at %s, however deep it is",
    async (path) => {
      const call = await newProject();
      for (const depth of [DEPTH_LIMIT + 1, BODY_LIMIT / 2]) {
        const response = await call(path, undefined, { method: "POST", body: nested(depth) });
        await expectError(response, 400, "invalid_request", /more than 64 lists and objects/, null);
      }
    },
  );

  it("that is as deep as allowed is read", async () => {
    const request = new Request(ORIGIN, { method: "POST", body: nested(DEPTH_LIMIT) });
    expect(JSON.stringify(await readJson(request))).toBe(nested(DEPTH_LIMIT));
  });

  it.each([
    ["", {}],
    [", whatever its length is said to be,", { "content-length": "100" }],
  ])("that does not arrive in time%s is a 408, and is not waited for any longer", async (_, headers) => {
    const request = new Request(ORIGIN, { method: "POST", headers, body: stalledAfter('{"model":') });
    const refusal = await readJson(request, 20).catch((error: unknown) => error);
    expect(AttuneError.isInstance(refusal) && [refusal.status, refusal.code]).toEqual([408, "request_timeout"]);
  });

  it.each([[{ "content-length": "2" }], [{ "content-length": "2", "transfer-encoding": "chunked" }]])(
    "is no larger than allowed, whatever is said of it: %j",
    async (headers) => {
      const body = " ".repeat(BODY_LIMIT + 1);
      const request = new Request(ORIGIN, { method: "POST", headers, body });
      const refusal = await readJson(request).catch((error: unknown) => error);
      expect(AttuneError.isInstance(refusal) && [refusal.status, refusal.code]).toEqual([413, "request_too_large"]);
    },
  );

  it("that begins with a byte order mark is read", async () => {
    const request = new Request(ORIGIN, { method: "POST", body: new TextEncoder().encode('\uFEFF{"text":"👋"}') });
    expect(await readJson(request)).toEqual({ text: "👋" });
  });

  it("that goes on for ever is cut off where it is too large", async () => {
    let sent = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 65_536;
        controller.enqueue(new Uint8Array(65_536).fill(32));
      },
    });
    const response = await callApp(CHAT, {
      method: "POST",
      headers: { authorization: `Bearer ${await issueKey()}` },
      body: endless,
    });
    await expectError(response, 413, "request_too_large", /larger than 1048576 bytes/);
    expect(sent).toBeLessThan(2 * BODY_LIMIT);
  });

  it("with more messages than any conversation has is a 400", async () => {
    const call = await newProject();
    const messages = Array.from({ length: 1025 }, () => ({ role: "user", content: "" }));
    await expectError(await call(CHAT, { model: "steered", messages }), 400, "invalid_request", /1024/, "messages");
  });

  it("cannot reach what all objects have in common", async () => {
    const call = await newProject();
    const { body } = chat("hello");
    const poisoned = `{"__proto__":{"stream":true},"constructor":{"prototype":{"n":2}},${JSON.stringify(body).slice(1)}`;
    await (await call(CHAT, undefined, { method: "POST", body: poisoned })).text();
    expect(Object.hasOwn(Object.prototype, "stream")).toBe(false);
    expect(Object.hasOwn(Object.prototype, "n")).toBe(false);
    const response = await call(CHAT, chat("hello").body);
    expect(await response.json()).toMatchObject({ object: "chat.completion" });
  });
});

describe("headers", () => {
  it.each([
    ["too many", Array.from({ length: MOST_HEADERS }, (_, index) => [`x-${index}`, "1"])],
    ["too large", [["x-large", "a".repeat(MOST_HEADER_CHARACTERS)]]],
    ["too large, as a key", [["authorization", `Bearer sk_live_${"a".repeat(MOST_HEADER_CHARACTERS)}`]]],
  ])("that are %s are a 431", async (_, extra) => {
    const headers = { authorization: `Bearer ${await issueKey()}`, ...Object.fromEntries(extra) };
    await expectError(await callApp("/v1/models", { headers }), 431, "headers_too_large", /At most 128/);
  });
});

describe("a name that only looks like another", () => {
  const LOOKALIKES = [
    "tut\u043Er",
    "ｔｕｔｏｒ",
    "tutor\u200B",
    "tutor\u0301",
    "Tutor",
    "tutor\u0000",
    "tutor\n",
    " tutor",
    "ﬁx",
  ];

  it.each(LOOKALIKES)("is no preset's: %j", async (slug) => {
    const call = await newProject();
    await expectError(await call("/v1/presets", { slug }), 400, "invalid_request", /slug/, "slug");
    await expectError(await call(CHAT, chat("hello", { steer: { preset: slug } }).body), 400, "invalid_request", /./);
    const addressed = await call(CHAT, chat("hello", { model: `steered@${slug}` }).body);
    expect([400, 404]).toContain(addressed.status);
    expect(await (await call("/v1/presets")).json()).toMatchObject({ data: [] });
  });

  it.each(LOOKALIKES)("is in no key's allowlist: %j", async (slug) => {
    const project = await createProject();
    const response = await administer("POST", `/projects/${project.id}/keys`, { name: "backend", presets: [slug] });
    await expectError(response, 400, "invalid_request", /preset/);
  });

  it.each([
    "https://shop.example.",
    "HTTPS://SHOP.EXAMPLE",
    "https://shop.example, https://evil.test",
    "https://shop.example/",
  ])("is no origin's: %s", async (origin) => {
    const headers = { authorization: `Bearer ${await publishableKey()}`, origin };
    const response = await callApp("/v1/sessions", { method: "POST", headers, body: "{}" });
    expect(response.headers.has("access-control-allow-origin")).toBe(false);
    await expectError(response, 403, "permission_denied", /./);
  });
});

describe("the log", () => {
  afterEach(() => vi.restoreAllMocks());

  it("has one line of JSON for each event, whatever a request says", async () => {
    const lines: unknown[] = [];
    for (const method of ["log", "warn", "error"] as const) {
      vi.spyOn(console, method).mockImplementation((line: unknown) => void lines.push(line));
    }
    const forged = '\n{"event":"forged"}\r\n\u2028{"event":"forged"}\u001B[2K';
    const key = await issueKey();
    const send = (path: string, body: object, headers: Record<string, string> = {}) =>
      callApp(path, {
        method: "POST",
        headers: { authorization: `Bearer ${key}`, ...headers },
        body: JSON.stringify(body),
      });
    await send(CHAT, chat(`explodes${forged}`).body);
    await send(CHAT, chat("explodes", { model: `steered${forged}` }).body);
    await send(CHAT, chat("explodes").body, { "x-request-id": 'a","event":"forged', origin: '"forged"' });
    await send(`/v1/${encodeURIComponent(forged)}`, {});
    expect(lines.length).toBeGreaterThan(0);
    for (const line of lines) {
      for (const breaking of ["\n", "\r", "\u001B"]) expect(line).not.toContain(breaking);
      expect(JSON.parse(String(line))).not.toMatchObject({ event: "forged" });
    }
  });
});
