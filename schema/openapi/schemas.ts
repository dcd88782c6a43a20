import { z } from "zod";

/** Gives a schema the name and the words that it has in the document. */
export function named<T extends z.ZodType>(id: string, schema: T, description?: string): T {
  z.globalRegistry.add(schema, { id, ...(description !== undefined && { description }) });
  return schema;
}

/** Gives fields of an object the words that they have in the document. */
export function describeFields<Shape extends z.ZodRawShape>(
  { shape }: z.ZodObject<Shape>,
  descriptions: { [Field in keyof Shape]?: string },
): void {
  for (const [field, description] of Object.entries(descriptions)) {
    const schema = shape[field];
    if (!(schema instanceof z.ZodType)) continue;
    const known = z.globalRegistry.get(schema);
    if (known?.description !== undefined && known.description !== description) {
      throw new Error(`${field} shares its schema with another field, described as: ${known.description}`);
    }
    z.globalRegistry.add(schema, { ...known, description });
  }
}

/** A list that comes whole. */
export const listOf = <T extends z.ZodType>(entry: T) => z.object({ object: z.literal("list"), data: z.array(entry) });
