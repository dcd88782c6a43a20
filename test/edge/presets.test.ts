import { describe, expect, it } from "vitest";
import { clientFor, issueKey, newProject } from "./project.ts";

const TUTOR = {
  slug: "tutor",
  persona: "You are a patient tutor.",
  attributes: { complexity: 1 },
  bounds: { toxicity: { locked: 0 }, complexity: { max: 2 } },
};

describe("presets", () => {
  it("are created, read, listed, updated and deleted", async () => {
    const call = await newProject();
    const created = await call("/v1/presets", TUTOR);
    expect(created.status).toBe(201);
    const preset = await created.json<{ created_at: number }>();
    expect(preset).toEqual({
      object: "preset",
      ...TUTOR,
      variables: {},
      sampling: {},
      version: 1,
      note: null,
      aliases: {},
      unpublished_changes: false,
      created_at: expect.any(Number),
      updated_at: expect.any(Number),
    });
    expect(Math.abs(Date.now() / 1000 - preset.created_at)).toBeLessThan(60);

    await call("/v1/presets", { slug: "bard" });
    const list = await call("/v1/presets");
    expect(await list.json()).toMatchObject({ object: "list", data: [{ slug: "bard", persona: "" }, preset] });

    const updated = await call("/v1/presets/tutor", { attributes: { humor: 3 } }, { method: "PUT" });
    expect(updated.status).toBe(200);
    expect(await updated.json()).toMatchObject({
      slug: "tutor",
      version: 2,
      persona: "",
      attributes: { humor: 3 },
      bounds: {},
    });
    expect(await (await call("/v1/presets/tutor")).json()).toMatchObject({ version: 2, attributes: { humor: 3 } });

    const deleted = await call("/v1/presets/tutor", undefined, { method: "DELETE" });
    expect(await deleted.json()).toEqual({ object: "preset", slug: "tutor", deleted: true });
    expect((await call("/v1/presets/tutor")).status).toBe(404);
  });

  it("count up once for each of many updates at the same time", async () => {
    const call = await newProject();
    await call("/v1/presets", { slug: "busy" });
    const updates = Array.from({ length: 8 }, (_, index) =>
      call("/v1/presets/busy", { persona: String(index) }, { method: "PUT" }),
    );
    const versions = await Promise.all(
      updates.map(async (update) => (await (await update).json<{ version: number }>()).version),
    );
    expect(versions.sort((a, b) => a - b)).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it("with a slug that is taken are a 409", async () => {
    const call = await newProject();
    await call("/v1/presets", TUTOR);
    const again = await call("/v1/presets", TUTOR);
    expect(again.status).toBe(409);
    expect(await again.json()).toMatchObject({
      error: { code: "conflict", param: "slug", message: expect.stringMatching(/PUT/) },
    });
  });

  it.each(["Tutor", "1st", "", "a".repeat(64), "a_b", "a@b", "a:1", "ｔutor", "tutor\n", "export"])(
    "with the slug %j are refused",
    async (slug) => {
      const call = await newProject();
      const response = await call("/v1/presets", { slug });
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ error: { code: "invalid_request", param: "slug" } });
    },
  );

  it.each([
    ["attributes.humor", { attributes: { humor: 4 }, bounds: { humor: { max: 2 } } }],
    ["attributes.humor", { attributes: { humor: 5 } }],
    ["bounds.humor", { bounds: { humor: { min: 3, max: 1 } } }],
    ["bounds.humor", { bounds: { humor: { locked: 1, min: 1 } } }],
    ["bounds", { bounds: { wit: { max: 1 } } }],
    ["persona", { persona: "x".repeat(8001) }],
    ["persona", { persona: "You teach {{subject}}." }],
    ["persona", { persona: "{{ Subject }}", variables: { subject: { required: true } } }],
    ["variables.subject", { variables: { subject: {} } }],
    ["variables.subject", { variables: { subject: { default: "maths", required: true } } }],
    ["variables.subject.default", { variables: { subject: { default: "maths", max_length: 4 } } }],
    ["variables.subject.default", { variables: { subject: { default: "a\u0000b" } } }],
    ["variables.1st", { variables: { "1st": { default: "" } } }],
    ["sampling.temperature", { sampling: { temperature: 3 } }],
    ["sampling", { sampling: { n: 2 } }],
    ["note", { note: "x".repeat(501) }],
  ])("with a wrong %s are refused, created or updated", async (param, fields) => {
    const call = await newProject();
    await call("/v1/presets", { slug: "tutor" });
    const answers = [
      await call("/v1/presets", { slug: "new", ...fields }),
      await call("/v1/presets/tutor", fields, { method: "PUT" }),
    ];
    for (const response of answers) {
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ error: { code: "invalid_request", param } });
    }
    expect(await (await call("/v1/presets/tutor")).json()).toMatchObject({ version: 1 });
  });

  it("that are not there are a 404, read, updated or deleted", async () => {
    const call = await newProject();
    const answers = [
      await call("/v1/presets/none"),
      await call("/v1/presets/none", {}, { method: "PUT" }),
      await call("/v1/presets/none", undefined, { method: "DELETE" }),
    ];
    for (const response of answers) {
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ error: { code: "preset_not_found" } });
    }
  });

  it("belong to a project: its other keys share them, other projects do not see them", async () => {
    const projectId = "proj_shared";
    const call = clientFor(await issueKey({ projectId }));
    const colleague = clientFor(await issueKey({ projectId }));
    const stranger = await newProject();
    await call("/v1/presets", TUTOR);
    expect((await colleague("/v1/presets/tutor")).status).toBe(200);
    expect((await stranger("/v1/presets/tutor")).status).toBe(404);
    expect(await (await stranger("/v1/presets")).json()).toEqual({ object: "list", data: [] });
    expect((await stranger("/v1/presets/tutor", undefined, { method: "DELETE" })).status).toBe(404);
    expect((await stranger("/v1/presets", TUTOR)).status).toBe(201);
    expect((await stranger("/v1/presets/tutor", { persona: "mine" }, { method: "PUT" })).status).toBe(200);
    expect(await (await call("/v1/presets/tutor")).json()).toMatchObject({ persona: TUTOR.persona, version: 1 });
  });
});
