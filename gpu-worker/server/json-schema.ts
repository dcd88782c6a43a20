import { isPlainPattern } from "./json-schema-pattern.ts";

type Schema = Record<string, unknown>;

/** What xgrammar 0.1.27 reads over, tried one by one: an answer would keep to the rest of the schema and not to this. */
const IGNORED = [
  ...["not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies"],
  ...["multipleOf", "exclusiveMinimum", "exclusiveMaximum", "contains", "minContains", "maxContains"],
  ...["patternProperties", "propertyNames", "minProperties", "unevaluatedItems", "additionalItems"],
  ...["$dynamicRef", "$recursiveRef", "$anchor"],
];

/** Each of these decides alone; xgrammar reads over what stands beside it. */
const ALONE = ["$ref", "anyOf", "oneOf", "allOf", "const", "enum"];

/** Keywords that xgrammar reads only where `type` says this. */
const OF_TYPE: Record<string, string[]> = {
  string: ["minLength", "maxLength", "pattern"],
  integer: ["minimum", "maximum"],
  array: ["items", "prefixItems", "minItems", "maxItems"],
  object: ["properties", "required", "additionalProperties", "maxProperties"],
};
const CONSTRAINTS = [...Object.values(OF_TYPE).flat(), "uniqueItems"];

/** Where schemas stand within a schema: by name, in a list, or alone. */
const BY_NAME = ["properties", "$defs", "definitions"];
const IN_LISTS = ["anyOf", "oneOf", "allOf", "prefixItems"];
const SINGLE = ["items", "additionalProperties", "unevaluatedProperties"];

const isSchema = (value: unknown): value is Schema =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * What of a JSON schema the grammar would not hold an answer to, in words; `null` where there is nothing. A schema is kept to or
 * refused. What only describes (`title`, `default`, a `format` nobody knows …) is read over, and `oneOf` is taken for `anyOf`.
 */
export function unenforceable(schema: unknown, place = "the schema"): string | null {
  if (!isSchema(schema)) return null;
  const here = problemOf(schema);
  if (here !== null) return `${here}, in ${place}`;
  for (const [name, child] of childrenOf(schema)) {
    const problem = unenforceable(child, place === "the schema" ? name : `${place}.${name}`);
    if (problem !== null) return problem;
  }
  return null;
}

function* childrenOf(schema: Schema): Generator<[name: string, schema: unknown]> {
  for (const key of BY_NAME) {
    const children = schema[key];
    if (isSchema(children)) for (const [name, child] of Object.entries(children)) yield [`${key}.${name}`, child];
  }
  for (const key of IN_LISTS) {
    const children = schema[key];
    if (Array.isArray(children)) for (const [index, child] of children.entries()) yield [`${key}.${index}`, child];
  }
  for (const key of SINGLE) if (isSchema(schema[key])) yield [key, schema[key]];
}

function problemOf(schema: Schema): string | null {
  const has = (key: string) => Object.hasOwn(schema, key);
  const ignored = IGNORED.find(has);
  if (ignored !== undefined) return `${ignored} cannot be enforced`;
  if (schema.uniqueItems === true) return "uniqueItems cannot be enforced";
  if (Array.isArray(schema.allOf) && schema.allOf.length > 1) return "allOf of more than one schema cannot be enforced";
  if (has("$ref") && !/^#(\/|$)/.test(String(schema.$ref))) return "$ref must begin with #/, within the schema";
  const [alone, beside] = [...ALONE.filter(has), ...CONSTRAINTS.filter(has)];
  if (alone !== undefined && ALONE.includes(alone) && beside !== undefined) {
    return `${beside} beside ${alone} cannot be enforced`;
  }
  const shapes = [["pattern"], ["format"], ["minLength", "maxLength"]].map((keywords) => keywords.find(has));
  const [shape, other] = shapes.filter((keyword) => keyword !== undefined);
  if (other !== undefined) return `${shape} together with ${other} cannot be enforced`;
  if (typeof schema.pattern === "string" && !isPlainPattern(schema.pattern)) {
    return "a pattern that matches quotes, backslashes or any character, or has alternatives without parentheses, cannot be enforced";
  }
  return problemOfObject(schema) ?? misplaced(schema);
}

function problemOfObject({ properties, required, additionalProperties }: Schema): string | null {
  const names = isSchema(properties) ? Object.keys(properties) : [];
  const missing = Array.isArray(required) ? required.find((name) => !names.includes(String(name))) : undefined;
  if (missing !== undefined) return `required names ${JSON.stringify(missing)}, which properties does not describe`;
  if (names.length === 0 || (additionalProperties ?? false) === false) return null;
  // They could have the same names, and the last one of a name is what counts.
  return "additionalProperties beside properties cannot be enforced; leave it out, or make it false";
}

/** A constraint on values of a type that `type` does not name. */
function misplaced(schema: Schema): string | null {
  const types: unknown[] = [schema.type].flat();
  // Without a type, xgrammar takes a schema with properties for that of an object.
  if (schema.type === undefined && isSchema(schema.properties)) types.push("object");
  for (const [type, keywords] of Object.entries(OF_TYPE)) {
    const keyword = keywords.find((candidate) => Object.hasOwn(schema, candidate));
    if (keyword !== undefined && !types.includes(type)) return `${keyword} can only be enforced with the type ${type}`;
  }
  return null;
}
