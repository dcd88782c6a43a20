import { z } from "zod";

/** Longest persona text, in UTF-16 code units. */
const MAX_PERSONA = 8000;
/** Most variables of a preset. */
const MAX_VARIABLES = 32;
/** Longest value that a variable can take, and where it sets no `max_length`; in UTF-16 code units. */
const MAX_VALUE = 2000;
export const DEFAULT_MAX_LENGTH = 200;

export const personaSchema = z.string().max(MAX_PERSONA);

const nameSchema = z.string().regex(/^[a-z][a-z0-9_]{0,62}$/i, {
  error: "must start with a letter and hold at most 63 letters, digits and _",
});

/** Line breaks and tabs are text; other control characters are not, and no half of a character is. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/;
const valueSchema = z
  .string({ error: "must be a string" })
  .max(MAX_VALUE)
  .refine((text) => text.isWellFormed() && !CONTROL.test(text), {
    error: "must be text without control characters",
  });

/** What a request fills into the persona, by the variables' names. */
export const variableValuesSchema = z
  .record(nameSchema, valueSchema)
  .refine((values) => Object.keys(values).length <= MAX_VARIABLES, {
    error: `must have at most ${MAX_VARIABLES} entries`,
  });
export type VariableValues = z.infer<typeof variableValuesSchema>;

/** A variable has a default, or has to be given. */
const variableSchema = z
  .strictObject({
    default: valueSchema.optional(),
    required: z.literal(true, { error: "must be true, or be left out beside a default" }).optional(),
    /** In UTF-16 code units. */
    max_length: z.int().min(1).max(MAX_VALUE).optional(),
  })
  .refine((variable) => (variable.default === undefined) !== (variable.required === undefined), {
    error: "give either a default or required: true",
  })
  .refine((variable) => (variable.default ?? "").length <= (variable.max_length ?? DEFAULT_MAX_LENGTH), {
    error: "the default is longer than max_length",
    path: ["default"],
  });

/** The variables of a persona, by name. */
export const variablesSchema = z
  .record(nameSchema, variableSchema)
  .refine((variables) => Object.keys(variables).length <= MAX_VARIABLES, {
    error: `must have at most ${MAX_VARIABLES} entries`,
  });
export type Variables = z.infer<typeof variablesSchema>;

/** Where a persona has a variable: `{{name}}`, with or without spaces around the name. */
export const PLACEHOLDER = /\{\{([^{}]*)\}\}/g;

/** The first placeholder that no variable is declared for, as it stands in the text; `null` where all are. */
export function undeclaredPlaceholder(persona: string, variables: Variables): string | null {
  for (const [placeholder, name = ""] of persona.matchAll(PLACEHOLDER)) {
    if (!Object.hasOwn(variables, name.trim())) return placeholder;
  }
  return null;
}
