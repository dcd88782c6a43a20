import type { z } from "zod";

/**
 * A JSON file's text, checked.
 *
 * @param what the file should be, with its article: "a steering profile"
 * @throws Error that names the file, the field and what is wrong with it
 */
export function parseJsonFile<T>(path: string, text: string, schema: z.ZodType<T>, what: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${path} is not ${what}: it is not JSON.`, { cause: error });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = issue?.path.map(String).join(".") ?? "";
  throw new Error(`${path} is not ${what}: ${field === "" ? "" : `${field}: `}${issue?.message}.`);
}
