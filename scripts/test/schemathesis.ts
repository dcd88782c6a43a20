import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { repository } from "../stack/paths.ts";
import { ensurePython } from "./python-environment.ts";

const REQUIREMENTS = join(repository, "test", "schemathesis", "requirements.txt");

/**
 * The Python of an environment that has schemathesis as test/schemathesis/requirements.txt pins it, to the hash of each file; made in the
 * cache directory where there is none yet.
 *
 * @throws StackError saying what is missing
 */
export async function ensureSchemathesis(): Promise<string> {
  const pins = createHash("sha256")
    .update(await readFile(REQUIREMENTS))
    .digest("hex")
    .slice(0, 12);
  return ensurePython(`schemathesis-${pins}`, ["--require-hashes", "-r", REQUIREMENTS]);
}
