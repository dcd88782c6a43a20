import type { PresetChange, PresetFields } from "../../schema/api/presets.ts";
import { ATTRIBUTES, type Attribute } from "../../schema/attributes.ts";

function inOrder<T>(record: Partial<Record<Attribute, T>>): Partial<Record<Attribute, T>> {
  const sorted: Partial<Record<Attribute, T>> = {};
  for (const attribute of ATTRIBUTES) {
    const value = record[attribute];
    if (value !== undefined) sorted[attribute] = value;
  }
  return sorted;
}

/** The same in one order whatever order it was written in, so that what is the same is the same text in the database. */
export function canonical({ persona, attributes, bounds, variables, sampling }: PresetFields): PresetFields {
  const byName = Object.entries(variables).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return {
    persona,
    attributes: inOrder(attributes),
    bounds: inOrder(bounds),
    variables: Object.fromEntries(byName),
    sampling,
  };
}

/** Each field by its path, as `bounds.humor`. */
function flatten(content: PresetFields): Map<string, unknown> {
  const { persona, ...groups } = content;
  const flat = new Map<string, unknown>([["persona", persona]]);
  for (const [group, fields] of Object.entries(groups)) {
    for (const [name, value] of Object.entries(fields)) flat.set(`${group}.${name}`, value);
  }
  return flat;
}

/** The fields that `to` has otherwise than `from`: those of `from` in its order, then what is new. */
export function diffContent(from: PresetFields, to: PresetFields): PresetChange[] {
  const [before, after] = [flatten(canonical(from)), flatten(canonical(to))];
  return [...new Set([...before.keys(), ...after.keys()])]
    .map((field) => ({ field, from: before.get(field) ?? null, to: after.get(field) ?? null }))
    .filter((change) => JSON.stringify(change.from) !== JSON.stringify(change.to));
}

export const isSame = (a: PresetFields, b: PresetFields) =>
  JSON.stringify(canonical(a)) === JSON.stringify(canonical(b));
