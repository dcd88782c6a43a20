import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { repository } from "../stack/paths.ts";
import { ensurePython } from "./python-environment.ts";

const REQUIREMENTS = join(repository, "test", "interop", "requirements.txt");

/**
 * The Python of an environment that has PyTorch, transformers, PEFT and TRL as test/interop/requirements.txt pins them, made in the
 * cache directory where there is none yet: a download of some gigabytes.
 *
 * @throws StackError saying what is missing
 */
export async function ensurePeft(): Promise<string> {
  const lines = (await readFile(REQUIREMENTS, "utf8")).split("\n");
  return ensurePython(
    "peft",
    lines.filter((line) => line !== "" && !line.startsWith("#")),
  );
}
