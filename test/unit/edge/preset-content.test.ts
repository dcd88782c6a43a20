import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonical, diffContent, isSame } from "../../../edge/presets/content.ts";
import { type PresetState, planPreset } from "../../../edge/presets/transfer.ts";
import type { TransferredPreset } from "../../../schema/api/preset-transfer.ts";
import type { PresetFields, PresetSampling } from "../../../schema/api/presets.ts";
import { ATTRIBUTES, LEVELS } from "../../../schema/attributes.ts";

const content = (fields: Partial<PresetFields> = {}): PresetFields => ({
  persona: "",
  attributes: {},
  bounds: {},
  variables: {},
  sampling: {},
  ...fields,
});

const anyContent = fc
  .record({
    persona: fc.constantFrom("", "One.", "Two."),
    attributes: fc.dictionary(fc.constantFrom(...ATTRIBUTES), fc.constantFrom(...LEVELS), { maxKeys: 3 }),
    sampling: fc.constantFrom<PresetSampling>({}, { temperature: 0.5 }, { stop: ["\n"] }),
  })
  .map(content);

describe("what two versions differ in", () => {
  it("is said field by field, in the order of attributes", () => {
    const from = content({ persona: "A", attributes: { verbosity: 1, quality: 2 }, sampling: { temperature: 1 } });
    const to = content({
      persona: "B",
      attributes: { quality: 3 },
      bounds: { humor: { locked: 0 } },
      variables: { name: { required: true } },
      sampling: { temperature: 1 },
    });
    expect(diffContent(from, to)).toEqual([
      { field: "persona", from: "A", to: "B" },
      { field: "attributes.quality", from: 2, to: 3 },
      { field: "attributes.verbosity", from: 1, to: null },
      { field: "bounds.humor", from: null, to: { locked: 0 } },
      { field: "variables.name", from: null, to: { required: true } },
    ]);
  });

  it("is nothing, exactly where they are the same, in whatever order they were written", () => {
    fc.assert(
      fc.property(anyContent, anyContent, (a, b) => {
        const reversed = { ...a, attributes: Object.fromEntries(Object.entries(a.attributes).reverse()) };
        expect(JSON.stringify(canonical(reversed))).toBe(JSON.stringify(canonical(a)));
        expect(diffContent(a, reversed)).toEqual([]);
        expect(diffContent(a, b).length === 0).toBe(isSame(a, b));
      }),
    );
  });
});

describe("an import", () => {
  const one = content({ persona: "One." });
  const two = content({ persona: "Two." });
  const CASES: [
    title: string,
    imported: Omit<TransferredPreset, "slug">,
    now: PresetState | undefined,
    outcome: object,
  ][] = [
    [
      "creates what is not there",
      { published: one, draft: null },
      undefined,
      { action: "create", draft: one, publish: one },
    ],
    [
      "creates a draft alone",
      { published: null, draft: one },
      undefined,
      { action: "create", draft: one, publish: null },
    ],
    [
      "leaves alone what is the same",
      { published: one, draft: null },
      { published: one, draft: one },
      { action: "unchanged" },
    ],
    [
      "publishes what is other",
      { published: two, draft: null },
      { published: one, draft: one },
      { action: "update", publish: two, draft: two },
    ],
    [
      "keeps a draft that has changes",
      { published: two, draft: null },
      { published: one, draft: content() },
      { action: "update", publish: two, draft: content() },
    ],
    [
      "replaces a draft by its own",
      { published: one, draft: two },
      { published: one, draft: one },
      { action: "update", publish: null, draft: two },
    ],
  ];
  it.each(CASES)("%s", (_, imported, now, { action, ...write }: { action?: string }) => {
    const planned = planPreset({ slug: "p", ...imported }, now);
    expect(planned.outcome.action).toBe(action);
    expect(planned.write).toMatchObject(write);
  });

  it("changes nothing the second time, whatever is imported over whatever", () => {
    const nullable = fc.option(anyContent);
    const state = fc.option(fc.record({ published: nullable, draft: anyContent }), { nil: undefined });
    fc.assert(
      fc.property(nullable, nullable, state, (published, draft, now) => {
        fc.pre(published !== null || draft !== null);
        const { write } = planPreset({ slug: "p", published, draft }, now);
        const after = { published: write.publish ?? now?.published ?? null, draft: write.draft };
        expect(planPreset({ slug: "p", published, draft }, after).outcome).toEqual({
          slug: "p",
          action: "unchanged",
          changes: [],
          draft_changes: [],
        });
      }),
    );
  });
});
