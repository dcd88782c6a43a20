import type { ImportedPreset, TransferredPreset } from "../../schema/api/preset-transfer.ts";
import type { PresetFields } from "../../schema/api/presets.ts";
import { canonical, diffContent, isSame } from "./content.ts";
import type { StoredPreset } from "./rows.ts";

const EMPTY: PresetFields = { persona: "", attributes: {}, bounds: {}, variables: {}, sampling: {} };

const contentOf = ({ persona, attributes, bounds, variables, sampling }: PresetFields) =>
  canonical({ persona, attributes, bounds, variables, sampling });

/** What a preset says now: its latest version, `null` before the first, and its draft. */
export type PresetState = { published: PresetFields | null; draft: PresetFields };

export const stateOf = ({ preset, draft }: StoredPreset): PresetState => ({
  published: preset.version === null ? null : contentOf(preset),
  draft: contentOf(draft),
});

/** A preset as it is exported: with its draft only where that says something else than what is published. */
export function toTransferred(stored: StoredPreset): TransferredPreset {
  const { published, draft } = stateOf(stored);
  const { slug } = stored.preset;
  return { slug, published, draft: stored.preset.unpublished_changes ? draft : null };
}

/** What an import does about a preset, and what it writes; `publish` is `null` where there is no new version. */
export type PlannedPreset = { outcome: ImportedPreset; write: { publish: PresetFields | null; draft: PresetFields } };

/**
 * What an import does about one preset. What is there already is not published again, so a second import changes nothing. A draft without
 * changes of its own goes along with what is published; one with changes is only replaced by a draft that is imported.
 */
export function planPreset({ slug, published, draft }: TransferredPreset, now: PresetState | undefined): PlannedPreset {
  const isNews = published !== null && (now?.published == null || !isSame(published, now.published));
  const keepsDraft = now !== undefined && (now.published === null || !isSame(now.draft, now.published));
  const newDraft = draft ?? (keepsDraft ? now.draft : (published ?? now?.draft ?? EMPTY));
  const changes = isNews ? diffContent(now?.published ?? EMPTY, published) : [];
  const draft_changes = diffContent(now?.draft ?? EMPTY, newDraft);
  const isUnchanged = now !== undefined && !isNews && draft_changes.length === 0;
  return {
    outcome: {
      slug,
      action: now === undefined ? "create" : isUnchanged ? "unchanged" : "update",
      changes,
      draft_changes,
    },
    write: { publish: isNews ? published : null, draft: newDraft },
  };
}
