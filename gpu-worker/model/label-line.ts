import type { Attribute, Level, RequestedLevels, SteeringProfile } from "../../schema/attributes.ts";

/**
 * The attributes as a model trained on them reads them: `quality:4,toxicity:0,…`, in the profile's order, without those that
 * have no level and those the profile does not know. Empty where none is left.
 */
export function labelLine(levels: RequestedLevels, profile: SteeringProfile): string {
  return profile.attributes
    .map(({ name }): [Attribute, Level | null | undefined] => [name, levels[name]])
    .filter(([, level]) => level !== undefined && level !== null)
    .map(([name, level]) => `${name}:${level}`)
    .join(",");
}
