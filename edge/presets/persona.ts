import { DEFAULT_MAX_LENGTH, PLACEHOLDER, type VariableValues } from "../../schema/api/persona.ts";
import type { PresetFields } from "../../schema/api/presets.ts";
import { AttuneError } from "../../schema/wire/errors.ts";

/** Longest persona with its variables filled in, in UTF-16 code units: a short text may name a long value many times. */
const MAX_FILLED = 16_000;

function refuse(name: string | null, message: string): AttuneError {
  const param = name === null ? "steer.variables" : `steer.variables.${name}`;
  return new AttuneError("invalid_request", `${param}: ${message}`, { param });
}

/**
 * The persona with each variable replaced by the request's value, or its default. Values are put in as they are and not read again, so
 * one that looks like a variable stays text.
 *
 * @throws AttuneError `invalid_request` naming the variable that is missing, unknown or too long
 */
export function fillPersona(
  { slug, persona, variables }: Pick<PresetFields, "persona" | "variables"> & { slug: string },
  given: VariableValues,
): string {
  const declared = new Map(Object.entries(variables));
  const values = new Map(Object.entries(given));
  for (const name of values.keys()) {
    if (declared.has(name)) continue;
    const known = declared.size === 0 ? "it has none" : `it has ${[...declared.keys()].join(", ")}`;
    throw refuse(name, `the preset ${slug} has no such variable; ${known}. Leave it out.`);
  }
  for (const [name, variable] of declared) {
    const value = values.get(name);
    if (value === undefined && variable.required === true) {
      throw refuse(name, `the preset ${slug} needs it. Give it a value, as a string.`);
    }
    const longest = variable.max_length ?? DEFAULT_MAX_LENGTH;
    if (value !== undefined && value.length > longest)
      throw refuse(name, `must be at most ${longest} characters long.`);
    values.set(name, value ?? variable.default ?? "");
  }
  let length = persona.length;
  const filled = persona.replace(PLACEHOLDER, (placeholder, name: string) => {
    // A preset of before there were variables may have braces in its text.
    const value = values.get(name.trim()) ?? placeholder;
    length += value.length - placeholder.length;
    return length > MAX_FILLED ? "" : value;
  });
  if (length > MAX_FILLED) throw refuse(null, `make the persona of ${slug} longer than ${MAX_FILLED} characters.`);
  return filled;
}

/** @throws AttuneError `invalid_request` where a request without a preset gives values */
export function refuseVariables(given: VariableValues): void {
  if (Object.keys(given).length > 0) throw refuse(null, "are a preset's; name one in steer.preset, or leave them out.");
}
