import { describe, expect, it } from "vitest";
import { type Client, expectError, newProject } from "./project.ts";

const PUT = { method: "PUT" };
const DELETE = { method: "DELETE" };
const TUTOR = { slug: "tutor", persona: "One.", attributes: { humor: 1 } };

const read = async (call: Client, path: string) => (await call(path)).json();

/** A project whose preset tutor has the versions One, Two and Three. */
async function withVersions(): Promise<Client> {
  const call = await newProject();
  await call("/v1/presets", TUTOR);
  await call("/v1/presets/tutor", { persona: "Two.", attributes: { humor: 2 } }, PUT);
  await call("/v1/presets/tutor", { persona: "Three.", bounds: { humor: { max: 2 } }, note: "Shorter." }, PUT);
  return call;
}

describe("versions of a preset", () => {
  it("are kept as they were published, latest first", async () => {
    const call = await withVersions();
    expect(await read(call, "/v1/presets/tutor/versions")).toMatchObject({
      object: "list",
      data: [
        {
          object: "preset_version",
          version: 3,
          persona: "Three.",
          note: "Shorter.",
          created_by: expect.stringMatching(/^key_/),
        },
        { version: 2, persona: "Two." },
        { version: 1, persona: "One.", attributes: { humor: 1 } },
      ],
      has_more: false,
    });
    expect(await read(call, "/v1/presets/tutor/versions?limit=1&after=3")).toMatchObject({
      data: [{ version: 2 }],
      has_more: true,
    });
    expect(await read(call, "/v1/presets/tutor/versions/1")).toMatchObject({ version: 1, persona: "One." });
    expect(await read(call, "/v1/presets/tutor/versions/latest")).toMatchObject({ version: 3 });
  });

  it("that are not there are told apart", async () => {
    const call = await withVersions();
    const missing = (path: string, message: RegExp) =>
      call(path).then((answer) => expectError(answer, 404, "preset_not_found", message));
    await missing("/v1/presets/tutor/versions/4", /no version 4/);
    await missing("/v1/presets/tutor/versions/staging", /no alias staging; it has none/);
    await missing("/v1/presets/tutor/versions/draft", /GET \/v1\/presets\/tutor\/draft/);
    await missing("/v1/presets/none/versions", /no preset none/);
    await expectError(
      await call("/v1/presets/tutor/versions/0"),
      400,
      "invalid_request",
      /number of a version/,
      "version",
    );
    await expectError(await call("/v1/presets/tutor/versions?limit=0"), 400, "invalid_request", /limit/, "limit");
  });

  it("are compared field by field", async () => {
    const call = await withVersions();
    expect(await read(call, "/v1/presets/tutor/diff?from=2&to=3")).toEqual({
      object: "preset_diff",
      slug: "tutor",
      from: 2,
      to: 3,
      changes: [
        { field: "persona", from: "Two.", to: "Three." },
        { field: "attributes.humor", from: 2, to: null },
        { field: "bounds.humor", from: null, to: { max: 2 } },
      ],
    });
    await call("/v1/presets/tutor/draft", { persona: "Four.", bounds: { humor: { max: 2 } } }, PUT);
    expect(await read(call, "/v1/presets/tutor/diff")).toMatchObject({
      from: 3,
      to: null,
      changes: [{ field: "persona", from: "Three.", to: "Four." }],
    });
    await expectError(await call("/v1/presets/tutor/diff?to=9"), 404, "preset_not_found", /no version 9/, "to");
  });

  it("are rolled back to by publishing an old one again, so that history stays", async () => {
    const call = await withVersions();
    const rolledBack = await call("/v1/presets/tutor/rollback", { version: 1 });
    expect(rolledBack.status).toBe(201);
    expect(await rolledBack.json()).toMatchObject({
      version: 4,
      persona: "One.",
      note: "Rollback to version 1.",
      unpublished_changes: false,
    });
    expect(await read(call, "/v1/presets/tutor/versions/3")).toMatchObject({ persona: "Three." });
    const again = await call("/v1/presets/tutor/rollback", { version: "1" });
    await expectError(again, 409, "conflict", /Version 4 of tutor, its latest, says the same/);
    await expectError(
      await call("/v1/presets/tutor/rollback", { version: 9 }),
      404,
      "preset_not_found",
      /no version 9/,
    );
    await expectError(
      await call("/v1/presets/tutor/rollback", { version: "draft" }),
      400,
      "invalid_request",
      /a draft is none/,
    );
  });
});

describe("the draft of a preset", () => {
  it("is edited without any effect until it is published", async () => {
    const call = await newProject();
    await call("/v1/presets", TUTOR);
    const edited = await call("/v1/presets/tutor/draft", { persona: "New." }, PUT);
    expect(await edited.json()).toMatchObject({
      object: "preset_draft",
      persona: "New.",
      attributes: {},
      unpublished_changes: true,
    });
    expect(await read(call, "/v1/presets/tutor")).toMatchObject({
      version: 1,
      persona: "One.",
      unpublished_changes: true,
    });

    const published = await call("/v1/presets/tutor/versions", { note: "Plainer." });
    expect(published.status).toBe(201);
    expect(await published.json()).toMatchObject({
      version: 2,
      persona: "New.",
      note: "Plainer.",
      unpublished_changes: false,
    });
  });

  it("is not published where there is nothing new in it", async () => {
    const call = await newProject();
    await call("/v1/presets", TUTOR);
    const answer = await call("/v1/presets/tutor/versions", undefined, { method: "POST" });
    await expectError(answer, 409, "conflict", /Version 1 of tutor.*Nothing to publish/);
  });

  it("goes along with what is published, but keeps changes of its own", async () => {
    const call = await newProject();
    await call("/v1/presets", TUTOR);
    await call("/v1/presets/tutor", { persona: "Two." }, PUT);
    expect(await read(call, "/v1/presets/tutor/draft")).toMatchObject({ persona: "Two.", unpublished_changes: false });
    await call("/v1/presets/tutor/draft", { persona: "Mine." }, PUT);
    await call("/v1/presets/tutor", { persona: "Three." }, PUT);
    expect(await read(call, "/v1/presets/tutor/draft")).toMatchObject({ persona: "Mine.", unpublished_changes: true });
    const discarded = await call("/v1/presets/tutor/draft", undefined, DELETE);
    expect(await discarded.json()).toMatchObject({ persona: "Three.", unpublished_changes: false });
  });

  it("is all there is of a preset that is created without publishing", async () => {
    const call = await newProject();
    const created = await call("/v1/presets", { ...TUTOR, publish: false });
    expect(await created.json()).toMatchObject({ version: null, persona: "One.", unpublished_changes: true });
    await expectError(
      await call("/v1/presets/tutor/versions/latest"),
      404,
      "preset_not_found",
      /no published version yet; POST/,
    );
    await expectError(
      await call("/v1/presets/tutor/draft", undefined, DELETE),
      409,
      "conflict",
      /no published version/,
    );
    const published = await call("/v1/presets/tutor/versions", undefined, { method: "POST" });
    expect(await published.json()).toMatchObject({ version: 1, persona: "One." });
  });
});

describe("aliases", () => {
  it("name a version until they name another, or none", async () => {
    const call = await withVersions();
    const named = await call("/v1/presets/tutor/aliases/production", { version: 2 }, PUT);
    expect(await named.json()).toMatchObject({ version: 3, aliases: { production: 2 } });
    expect(await read(call, "/v1/presets/tutor/versions/production")).toMatchObject({ version: 2 });
    await call("/v1/presets/tutor/aliases/production", { version: 3 }, PUT);
    await call("/v1/presets/tutor/aliases/old-one", { version: 1 }, PUT);
    expect(await read(call, "/v1/presets/tutor")).toMatchObject({ aliases: { production: 3, "old-one": 1 } });
    const removed = await call("/v1/presets/tutor/aliases/old-one", undefined, DELETE);
    expect(await removed.json()).toMatchObject({ aliases: { production: 3 } });
    await expectError(
      await call("/v1/presets/tutor/aliases/old-one", undefined, DELETE),
      404,
      "not_found",
      /no alias old-one/,
    );
  });

  it("are refused for a version that is not there, under a name that every preset has, or beyond twenty", async () => {
    const call = await withVersions();
    const set = (alias: string, version: number) => call(`/v1/presets/tutor/aliases/${alias}`, { version }, PUT);
    await expectError(await set("production", 9), 400, "invalid_request", /no version 9; its latest is 3/, "version");
    for (const alias of ["latest", "draft", "3", "Live"]) expect((await set(alias, 1)).status).toBe(400);
    for (let index = 0; index < 20; index++) expect((await set(`a${index}`, 1)).status).toBe(200);
    await expectError(await set("a20", 1), 409, "conflict", /20 aliases/);
    expect((await set("a0", 2)).status).toBe(200);
  });
});

describe("a deleted preset", () => {
  it("takes its versions along, and says so to who names it", async () => {
    const call = await withVersions();
    await call("/v1/presets/tutor", undefined, DELETE);
    await expectError(await call("/v1/presets/tutor/versions/1"), 404, "preset_not_found", /was deleted at 20\d\d-/);
    await expectError(await call("/v1/presets/tutor/versions"), 404, "preset_not_found", /no preset tutor/);
    expect(await read(call, "/v1/presets")).toEqual({ object: "list", data: [] });
  });

  it("leaves its numbers used up: a version that was named never comes to mean another", async () => {
    const call = await withVersions();
    await call("/v1/presets/tutor/aliases/production", { version: 3 }, PUT);
    await call("/v1/presets/tutor", undefined, DELETE);
    const created = await call("/v1/presets", { slug: "tutor", persona: "Another." });
    expect(await created.json()).toMatchObject({ version: 4, persona: "Another.", aliases: {} });
    await expectError(await call("/v1/presets/tutor/versions/3"), 404, "preset_not_found", /no version 3/);
  });
});
