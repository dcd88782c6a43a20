import { describe, expect, it } from "vitest";
import { type Client, expectError, newProject } from "./project.ts";

const TUTOR = { slug: "tutor", persona: "One." };

const put = (call: Client, path: string, body: object, headers: Record<string, string>) =>
  call(path, body, { method: "PUT", headers });

async function etagOf(call: Client, path = "/v1/presets/tutor"): Promise<string> {
  return (await call(path)).headers.get("etag") ?? "";
}

async function withTutor(): Promise<Client> {
  const call = await newProject();
  await call("/v1/presets", TUTOR);
  return call;
}

const READS = [
  "/v1/presets",
  "/v1/presets/export",
  "/v1/presets/tutor",
  "/v1/presets/tutor/draft",
  "/v1/presets/tutor/versions",
  "/v1/presets/tutor/versions/1",
  "/v1/presets/tutor/diff",
];

describe("reading a preset", () => {
  it.each(READS)("GET %s is answered with a strong entity tag, and with 304 to who has it already", async (path) => {
    const call = await withTutor();
    const etag = await etagOf(call, path);
    expect(etag).toMatch(/^"[^"]+"$/);
    const again = await call(path, undefined, { headers: { "if-none-match": `"other", ${etag}` } });
    expect([again.status, await again.text()]).toEqual([304, ""]);
    expect(again.headers.get("etag")).toBe(etag);
    expect(again.headers.get("x-request-id")).toMatch(/^req_/);
    expect(again.headers.get("x-ratelimit-remaining-requests")).not.toBeNull();
    expect((await call(path, undefined, { headers: { "if-none-match": '"other"' } })).status).toBe(200);
  });

  it("has another tag after every change of it, also when it was deleted in between", async () => {
    const call = await withTutor();
    const tags = [await etagOf(call)];
    await put(call, "/v1/presets/tutor/draft", { persona: "Two." }, {});
    tags.push(await etagOf(call));
    await call("/v1/presets/tutor/versions", {});
    tags.push(await etagOf(call));
    await put(call, "/v1/presets/tutor/aliases/live", { version: 1 }, {});
    tags.push(await etagOf(call));
    await call("/v1/presets/tutor", undefined, { method: "DELETE" });
    await call("/v1/presets", TUTOR);
    tags.push(await etagOf(call));
    expect(new Set(tags).size).toBe(tags.length);
  });
});

const WRITES: [method: string, path: string, body: object | undefined][] = [
  ["PUT", "", { persona: "New." }],
  ["PUT", "/draft", { persona: "New." }],
  ["DELETE", "/draft", undefined],
  ["POST", "/versions", {}],
  ["POST", "/rollback", { version: 1 }],
  ["PUT", "/aliases/live", { version: 1 }],
  ["DELETE", "/aliases/old", undefined],
  ["DELETE", "", undefined],
];

describe("changing a preset", () => {
  it.each(WRITES)(
    "with %s %s is made where it still is as the caller saw it, and else is a 412",
    async (method, path, body) => {
      const call = await withTutor();
      await put(call, "/v1/presets/tutor", { persona: "Two." }, {});
      await put(call, "/v1/presets/tutor/aliases/old", { version: 1 }, {});
      const stale = await etagOf(call);
      await put(call, "/v1/presets/tutor/draft", { persona: "Mine." }, {});
      const send = (ifMatch: string) =>
        call(`/v1/presets/tutor${path}`, body, { method, headers: { "if-match": ifMatch } });

      for (const tag of [stale, `W/${await etagOf(call)}`, '"made up"', "nonsense"]) {
        await expectError(await send(tag), 412, "precondition_failed", /changed since you read it: it is at "r4" now/);
      }
      expect(await (await call("/v1/presets/tutor/draft")).json()).toMatchObject({ persona: "Mine." });
      expect((await send(`${stale}, ${await etagOf(call)}`)).status).toBeLessThan(300);
    },
  );

  it("answers with the tag to make the next change with", async () => {
    const call = await withTutor();
    const edited = await put(call, "/v1/presets/tutor/draft", { persona: "Two." }, { "if-match": await etagOf(call) });
    const headers = { "if-match": edited.headers.get("etag") ?? "" };
    const published = await call("/v1/presets/tutor/versions", {}, { headers });
    expect(await published.json()).toMatchObject({ version: 2, persona: "Two." });
    expect(published.headers.get("etag")).toBe(await etagOf(call));
  });

  it("with If-Match: * asks only that it be there", async () => {
    const call = await withTutor();
    expect((await put(call, "/v1/presets/tutor", {}, { "if-match": "*" })).status).toBe(200);
    expect((await put(call, "/v1/presets/none", {}, { "if-match": "*" })).status).toBe(404);
  });

  it("lets one of many editors through who saw the same", async () => {
    const call = await withTutor();
    const headers = { "if-match": await etagOf(call) };
    const answers = await Promise.all([
      ...Array.from({ length: 6 }, (_, index) => put(call, "/v1/presets/tutor", { persona: `Put ${index}` }, headers)),
      ...Array.from({ length: 6 }, (_, index) =>
        put(call, "/v1/presets/tutor/draft", { persona: `Draft ${index}` }, headers),
      ),
    ]);
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(1);
    expect(statuses.filter((status) => status === 412)).toHaveLength(11);
    const winner = await answers[statuses.indexOf(200)]?.json<{ persona: string }>();
    const draft = await (await call("/v1/presets/tutor/draft")).json<{ persona: string }>();
    expect(draft.persona).toBe(winner?.persona);
  });

  it("keeps every version that many publish at once without a condition", async () => {
    const call = await withTutor();
    const personas = Array.from({ length: 6 }, (_, index) => `Number ${index}`);
    await Promise.all(personas.map((persona) => put(call, "/v1/presets/tutor", { persona }, {})));
    const { data } = await (await call("/v1/presets/tutor/versions")).json<{
      data: { version: number; persona: string }[];
    }>();
    expect(data.map(({ version }) => version)).toEqual([7, 6, 5, 4, 3, 2, 1]);
    expect(data.map(({ persona }) => persona).sort()).toEqual([...personas, "One."].sort());
  });

  it("is refused with more tags than there can be, or with If-None-Match", async () => {
    const call = await withTutor();
    const many = Array.from({ length: 33 }, (_, index) => `"r${index}"`).join(",");
    await expectError(
      await put(call, "/v1/presets/tutor", {}, { "if-match": many }),
      400,
      "invalid_request",
      /at most 32/,
    );
    const draft = await put(call, "/v1/presets/tutor/draft", {}, { "if-none-match": "*" });
    await expectError(draft, 400, "invalid_request", /use If-Match/);
    const tagged = await put(call, "/v1/presets/tutor", {}, { "if-none-match": '"r1"' });
    await expectError(tagged, 400, "invalid_request", /must be \*/);
  });
});

describe("creating a preset with If-None-Match: *", () => {
  const NEW = { "if-none-match": "*" };

  it("works by POST and by PUT where there is none, and is a 412 where there is", async () => {
    const call = await newProject();
    expect((await call("/v1/presets", TUTOR, { headers: NEW })).status).toBe(201);
    await expectError(await call("/v1/presets", TUTOR, { headers: NEW }), 412, "precondition_failed", /exists already/);
    const created = await put(call, "/v1/presets/bard", { persona: "Sing." }, NEW);
    expect([created.status, await created.json()]).toMatchObject([201, { slug: "bard", version: 1 }]);
    await expectError(await put(call, "/v1/presets/bard", {}, NEW), 412, "precondition_failed", /exists already/);
  });

  it("lets one of many through", async () => {
    const call = await newProject();
    const answers = await Promise.all(Array.from({ length: 6 }, () => put(call, "/v1/presets/bard", {}, NEW)));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 412, 412, 412, 412, 412]);
  });
});
