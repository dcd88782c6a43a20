import { readFile } from "node:fs/promises";
import { z } from "zod";
import { saveFile } from "../../model/save-file.ts";
import { BadRow, checkRow } from "../datasets/reader.ts";
import { readRows } from "../datasets/rows.ts";

const idSchema = z.int();

/** A question of MT-Bench or Vicuna, as FastChat publishes them. */
export const questionSchema = z.object({
  question_id: idSchema,
  category: z.string(),
  turns: z.array(z.string()).min(1),
});
export type Question = z.infer<typeof questionSchema>;

/** A model's answers to a question's turns, in FastChat's `model_answer` format. */
const answerSchema = z.object({
  question_id: idSchema,
  choices: z.array(z.object({ turns: z.array(z.string()).min(1) })).min(1),
});
type StoredAnswer = z.infer<typeof answerSchema>;

/** An instruction with a model's output, as AlpacaEval keeps them. */
export const outputSchema = z.object({ instruction: z.string(), output: z.string() });
export type Output = z.infer<typeof outputSchema>;

/** A row of AlpacaEval's df_gamed.csv. Its preference is 0–1 already, its length difference in standard deviations. */
export const gamedSchema = z
  .object({
    index: z.coerce.number(),
    preference: z.coerce.number(),
    std_delta_len: z.coerce.number(),
    instruction_difficulty: z.coerce.number(),
  })
  .transform((row) => ({
    index: row.index,
    preference: row.preference,
    lengthDifference: row.std_delta_len,
    difficulty: row.instruction_difficulty,
  }));

/**
 * All rows of a file of JSON lines, a JSON array, CSV or parquet.
 *
 * @throws Error that names the file, and the line of a row that is something else
 */
export async function readAllRows<T>(path: string, schema: z.ZodType<T>): Promise<T[]> {
  const rows: T[] = [];
  for await (const row of readRows(path, () => {})) {
    if ("reason" in row) throw new Error(`${path}:${row.line}: ${row.reason}`);
    try {
      rows.push(checkRow(schema, row.value));
    } catch (error) {
      throw error instanceof BadRow ? new Error(`${path}:${row.line}: ${error.message}`) : error;
    }
  }
  if (rows.length === 0) throw new Error(`${path} is empty.`);
  return rows;
}

/** Answers by question, each with its turns. @throws Error as {@link readAllRows} */
export async function readAnswers(path: string): Promise<Map<number, string[]>> {
  const rows = await readAllRows<StoredAnswer>(path, answerSchema);
  return new Map(rows.map(({ question_id, choices }) => [question_id, choices[0]?.turns ?? []]));
}

/** @throws Error that names questions of which not every turn has an answer */
export function checkAnswered(
  path: string,
  questions: readonly Question[],
  answers: ReadonlyMap<number, string[]>,
): void {
  const open = questions.filter(({ question_id, turns }) => (answers.get(question_id)?.length ?? 0) < turns.length);
  if (open.length === 0) return;
  const named = open.slice(0, 5).map(({ question_id }) => question_id);
  throw new Error(
    `${path} lacks answers to ${open.length} of ${questions.length} questions, such as ${named.join(", ")}.`,
  );
}

/** Reads a text file. @throws Error that names it */
export async function readText(path: string): Promise<string> {
  return readFile(path, "utf8").catch((error: unknown) => {
    throw new Error(`Cannot read ${path} (${error instanceof Error ? error.message : error}).`, { cause: error });
  });
}

/** Writes values a line each, whole or not at all. */
export async function saveJsonLines(path: string, values: readonly unknown[]): Promise<void> {
  await saveFile(path, [Buffer.from(values.map((value) => `${JSON.stringify(value)}\n`).join(""))]);
}

/** Writes one value for people to read, whole or not at all. */
export async function saveJson(path: string, value: unknown): Promise<void> {
  await saveFile(path, [Buffer.from(`${JSON.stringify(value, null, 2)}\n`)]);
}
