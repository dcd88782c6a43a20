import { describe, expect, it } from "vitest";
import type { PresetExport, PresetImport } from "../../schema/api/preset-transfer.ts";
import { type Client, expectError, newProject } from "./project.ts";

const PUT = { method: "PUT" };
const IMPORT = "/v1/presets/import";

const content = (fields: object) => ({
  persona: "",
  attributes: {},
  bounds: {},
  variables: {},
  sampling: {},
  ...fields,
});
const exportOf = async (call: Client) => (await call("/v1/presets/export")).json<PresetExport>();
const actionsOf = async (response: Response) =>
  (await response.json<PresetImport>()).presets.map(({ slug, action }) => [slug, action]);

async function withPresets(): Promise<Client> {
  const call = await newProject();
  await call("/v1/presets", { slug: "bard", persona: "Sing.", sampling: { temperature: 1 } });
  await call("/v1/presets", { slug: "planned", persona: "Later.", publish: false });
  await call("/v1/presets", { slug: "tutor", persona: "Teach." });
  await call("/v1/presets/tutor/draft", { persona: "Teach well." }, PUT);
  return call;
}

describe("an export", () => {
  it("holds what each preset says, and its draft where that says something else", async () => {
    expect(await exportOf(await withPresets())).toEqual({
      object: "preset_export",
      format: 1,
      presets: [
        { slug: "bard", published: content({ persona: "Sing.", sampling: { temperature: 1 } }), draft: null },
        { slug: "planned", published: null, draft: content({ persona: "Later." }) },
        { slug: "tutor", published: content({ persona: "Teach." }), draft: content({ persona: "Teach well." }) },
      ],
    });
  });

  it("imported into another project makes it the same, and nothing more the second time", async () => {
    const document = await exportOf(await withPresets());
    const other = await newProject();
    const first = await other(IMPORT, document);
    expect(first.status).toBe(200);
    expect(await actionsOf(first)).toEqual([
      ["bard", "create"],
      ["planned", "create"],
      ["tutor", "create"],
    ]);
    expect(await exportOf(other)).toEqual(document);
    expect(await (await other("/v1/presets/planned")).json()).toMatchObject({ version: null });
    expect(await actionsOf(await other(IMPORT, document))).toEqual([
      ["bard", "unchanged"],
      ["planned", "unchanged"],
      ["tutor", "unchanged"],
    ]);
    expect(await (await other("/v1/presets/tutor")).json()).toMatchObject({ version: 1, note: "Imported." });
  });
});

describe("an import", () => {
  const CHANGES = {
    presets: [
      { slug: "tutor", published: { persona: "Teach better.", attributes: { humor: 1 } } },
      { slug: "clown", published: { persona: "Joke." } },
    ],
  };

  it("that is a dry run says what would change, and changes nothing", async () => {
    const call = await withPresets();
    const before = await exportOf(call);
    const answer = await call(`${IMPORT}?dry_run=true`, CHANGES);
    expect(await answer.json()).toEqual({
      object: "preset_import",
      dry_run: true,
      presets: [
        {
          slug: "tutor",
          action: "update",
          changes: [
            { field: "persona", from: "Teach.", to: "Teach better." },
            { field: "attributes.humor", from: null, to: 1 },
          ],
          draft_changes: [],
        },
        {
          slug: "clown",
          action: "create",
          changes: [{ field: "persona", from: "", to: "Joke." }],
          draft_changes: [{ field: "persona", from: "", to: "Joke." }],
        },
      ],
    });
    expect(await exportOf(call)).toEqual(before);
  });

  it("publishes what is new as the next version, and leaves other presets and edited drafts alone", async () => {
    const call = await withPresets();
    await call(IMPORT, CHANGES);
    const tutor = await (await call("/v1/presets/tutor")).json();
    expect(tutor).toMatchObject({ version: 2, persona: "Teach better.", unpublished_changes: true });
    expect(await (await call("/v1/presets/tutor/versions/1")).json()).toMatchObject({ persona: "Teach." });
    expect((await exportOf(call)).presets.map(({ slug }) => slug)).toEqual(["bard", "clown", "planned", "tutor"]);
  });

  it.each([
    [
      "presets.1.slug",
      [
        { slug: "one", published: {} },
        { slug: "one", published: {} },
      ],
      /twice/,
    ],
    [
      "presets.1.slug",
      [
        { slug: "one", published: {} },
        { slug: "No Slug", published: {} },
      ],
      /must start/,
    ],
    ["presets.1", [{ slug: "one", published: {} }, { slug: "two" }], /published, draft or both/],
    [
      "presets.1.published.persona",
      [
        { slug: "one", published: {} },
        { slug: "two", published: { persona: "{{x}}" } },
      ],
      /declare/,
    ],
    [
      "presets.1.draft.attributes.humor",
      [
        { slug: "one", draft: {} },
        { slug: "two", draft: { attributes: { humor: 5 } } },
      ],
      /0 to 4/,
    ],
  ])("with something wrong at %s imports nothing", async (param, presets, message) => {
    const call = await newProject();
    await expectError(await call(IMPORT, { presets }), 400, "invalid_request", message, param);
    expect((await exportOf(call)).presets).toEqual([]);
  });

  it("of another format, or with an unclear query, is refused", async () => {
    const call = await newProject();
    await expectError(await call(IMPORT, { format: 2, presets: [] }), 400, "invalid_request", /must be 1/, "format");
    const unclear = await call(`${IMPORT}?dry_run=yes`, { presets: [] });
    await expectError(unclear, 400, "invalid_request", /true or false/, "dry_run");
  });

  it("beside others that change the same presets is whole all the same", async () => {
    const call = await newProject();
    const documents = Array.from({ length: 4 }, (_, index) => ({
      presets: ["a", "b", "c"].map((slug) => ({ slug, published: { persona: `From ${index}` } })),
    }));
    const answers = await Promise.all(documents.map((document) => call(IMPORT, document)));
    for (const { status } of answers) expect([200, 409]).toContain(status);
    expect(answers.some(({ status }) => status === 200)).toBe(true);
    const personas = (await exportOf(call)).presets.map(({ published }) => published?.persona);
    expect(personas).toHaveLength(3);
    expect(new Set(personas).size).toBe(1);
  });

  it("does not take a project beyond the presets that it may have", async () => {
    const call = await newProject();
    const many = (prefix: string, count: number) =>
      Array.from({ length: count }, (_, index) => ({ slug: `${prefix}${index}`, published: {} }));
    expect((await call(IMPORT, { presets: many("p", 499) })).status).toBe(200);
    await expectError(
      await call(IMPORT, { presets: many("q", 2) }),
      409,
      "conflict",
      /499 presets.*above 500/,
      "presets",
    );
    expect((await call("/v1/presets", { slug: "last" })).status).toBe(201);
    await expectError(await call("/v1/presets", { slug: "more" }), 409, "conflict", /500 presets.*Delete one/);
    expect((await call(IMPORT, { presets: many("p", 499) })).status).toBe(200);
  });
});
