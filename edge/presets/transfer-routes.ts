import { Hono } from "hono";
import {
  importQuerySchema,
  MAX_PRESETS,
  type PresetExport,
  type PresetImport,
  presetExportSchema,
} from "../../schema/api/preset-transfer.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import { requireScope } from "../auth/authenticate.ts";
import { mayUsePreset, permitPreset } from "../auth/principal.ts";
import { parse, parseBody } from "../body.ts";
import type { Edge } from "../environment.ts";
import { storeOf } from "./request.ts";
import { planPreset, stateOf, toTransferred } from "./transfer.ts";
import { takeSnapshot, writeImport } from "./transfer-store.ts";

/** How often an import is planned anew because somebody changed a preset meanwhile. */
const MAX_TRIES = 3;

/** All presets as one document: out of one project, and into another. */
export const transferRoutes = new Hono<Edge>()
  .get("/export", requireScope("presets:read"), async (c) => {
    const all = (await storeOf(c).list()).filter(({ preset }) => mayUsePreset(c.var.principal, preset.slug));
    const document: PresetExport = { object: "preset_export", format: 1, presets: all.map(toTransferred) };
    return c.json(document);
  })
  .post("/import", requireScope("presets:write"), async (c) => {
    const { dry_run } = parse(importQuerySchema, c.req.query());
    const { presets } = await parseBody(presetExportSchema, c.req.raw);
    const { principal } = c.var;
    for (const [index, { slug }] of presets.entries()) permitPreset(principal, slug, `presets.${index}.slug`);

    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const snapshot = await takeSnapshot(c.env.DB, principal.projectId);
      const states = new Map(snapshot.presets.map((stored) => [stored.preset.slug, stateOf(stored)]));
      const planned = presets.map((preset) => planPreset(preset, states.get(preset.slug)));
      const created = planned.filter(({ outcome }) => outcome.action === "create").length;
      if (states.size + created > MAX_PRESETS) {
        const message = `presets: the project has ${states.size} presets; with ${created} more it would have above ${MAX_PRESETS}.`;
        throw new AttuneError("conflict", message, { param: "presets" });
      }
      const { revision } = snapshot;
      if (dry_run || (await writeImport(c.env.DB, principal.projectId, planned, { revision, by: principal.keyId }))) {
        const answer: PresetImport = {
          object: "preset_import",
          dry_run,
          presets: planned.map(({ outcome }) => outcome),
        };
        return c.json(answer);
      }
    }
    throw new AttuneError("conflict", "Others are changing the project's presets. Nothing was imported; try again.");
  });
