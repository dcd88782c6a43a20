import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseJsonFile } from "../../model/json-file.ts";
import { saveFile } from "../../model/save-file.ts";
import { differences, type Evaluation, evaluationSchema } from "./evaluation.ts";

const EVALUATION_FILE = "evaluation.json";
export const ANSWERS_FILE = "answers.jsonl";
export const SCORES_FILE = "scores.jsonl";

/** @throws Error where the directory holds no evaluation */
export async function readEvaluation(directory: string): Promise<Evaluation> {
  const path = join(directory, EVALUATION_FILE);
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw new Error(`${directory} holds no evaluation. Begin one with attune evaluate … --out ${directory}.`, {
      cause: error,
    });
  });
  return parseJsonFile(path, text, evaluationSchema, "an evaluation");
}

/**
 * Begins an evaluation in a directory, or goes on with the one there, whose answers are kept. It may ask for more or less than before.
 *
 * @throws Error that names what differs where the answers there were given otherwise
 */
export async function beginEvaluation(directory: string, evaluation: Evaluation): Promise<void> {
  const isBegun = await access(join(directory, EVALUATION_FILE)).then(
    () => true,
    () => false,
  );
  if (isBegun) {
    const found = differences((await readEvaluation(directory)).answering, evaluation.answering);
    if (found.length > 0) {
      throw new Error(
        `The answers in ${directory} were given otherwise: ${found.join(", ")}. Ask as before, or name another directory.`,
      );
    }
  }
  await writeText(join(directory, EVALUATION_FILE), `${JSON.stringify(evaluation, null, 2)}\n`);
}

export const writeText = (path: string, text: string): Promise<void> => saveFile(path, [Buffer.from(text)]);
