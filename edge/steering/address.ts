import { SLUG_PATTERN } from "../../schema/api/presets.ts";
import { AttuneError } from "../../schema/wire/errors.ts";

/** A preset as a request names it; without a version the current one is meant. */
type PresetAddress = { slug: string; version: number | null };

/** `param` is the field that named the preset. */
export type ModelAddress = { model: string; preset: (PresetAddress & { param: "model" | "steer.preset" }) | null };

const PRESET = new RegExp(`^(${SLUG_PATTERN})(?::([1-9][0-9]{0,8}))?$`);

/** Reads `slug` or `slug:version`; `null` where the text is neither. */
function parsePreset(text: string): PresetAddress | null {
  const match = PRESET.exec(text);
  if (match === null) return null;
  const [, slug = "", version] = match;
  return { slug, version: version === undefined ? null : Number(version) };
}

/**
 * Reads what `model` (`name`, `name@slug` or `name@slug:version`) and `steer.preset` address together.
 *
 * @throws AttuneError `invalid_request`
 */
export function parseModelAddress(model: string, steerPreset: string | undefined): ModelAddress {
  const at = model.lastIndexOf("@");
  const name = at === -1 ? model : model.slice(0, at);
  const inModel = at === -1 ? null : parsePreset(model.slice(at + 1));
  if (at !== -1 && inModel === null) {
    throw new AttuneError("invalid_request", "model: after @ comes a preset, as slug or slug:version", {
      param: "model",
    });
  }
  const inSteer = steerPreset === undefined ? null : parsePreset(steerPreset);
  if (inModel !== null && inSteer !== null) {
    if (inModel.slug !== inSteer.slug || inModel.version !== inSteer.version) {
      throw new AttuneError("invalid_request", "steer.preset: differs from the preset in model; give one of the two", {
        param: "steer.preset",
      });
    }
  }
  if (inModel !== null) return { model: name, preset: { ...inModel, param: "model" } };
  return { model: name, preset: inSteer === null ? null : { ...inSteer, param: "steer.preset" } };
}
