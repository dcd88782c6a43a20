import { type PresetAddress, parsePresetAddress } from "../../schema/api/preset-reference.ts";
import { AttuneError } from "../../schema/wire/errors.ts";

/** `param` is the field that named the preset. */
export type ModelAddress = { model: string; preset: (PresetAddress & { param: "model" | "steer.preset" }) | null };

/**
 * Reads what `model` (`name`, `name@slug` or `name@slug:version`) and `steer.preset` address together.
 *
 * @throws AttuneError `invalid_request`
 */
export function parseModelAddress(model: string, steerPreset: string | undefined): ModelAddress {
  const at = model.lastIndexOf("@");
  const name = at === -1 ? model : model.slice(0, at);
  const inModel = at === -1 ? null : parsePresetAddress(model.slice(at + 1));
  if (at !== -1 && inModel === null) {
    const message = "model: after @ comes a preset, as slug, slug:version or slug:alias";
    throw new AttuneError("invalid_request", message, { param: "model" });
  }
  const inSteer = steerPreset === undefined ? null : parsePresetAddress(steerPreset);
  if (inModel !== null && inSteer !== null) {
    if (inModel.slug !== inSteer.slug || inModel.reference !== inSteer.reference) {
      throw new AttuneError("invalid_request", "steer.preset: differs from the preset in model; give one of the two", {
        param: "steer.preset",
      });
    }
  }
  if (inModel !== null) return { model: name, preset: { ...inModel, param: "model" } };
  return { model: name, preset: inSteer === null ? null : { ...inSteer, param: "steer.preset" } };
}
