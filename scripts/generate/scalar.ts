import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { repository } from "../stack/paths.ts";
import { runNpm } from "./npm.ts";
import { readText } from "./openapi.ts";

/** What draws the reference page. As a dependency it would bring some 270 packages that are all in this one file already. */
const VERSION = "1.72.1";
const SCRIPT = join(repository, "edge", "playground", "reference", "scalar.js");
const BANNER = `/*! @scalar/api-reference ${VERSION}, https://github.com/scalar/scalar, MIT License: LICENSE.txt beside this file */\n`;

/** Copies the script out of its package, where it is not of this version yet; npm checks the package's hash. */
export async function ensureScalar(): Promise<void> {
  if (readText(SCRIPT).startsWith(BANNER)) return;
  const directory = mkdtempSync(join(tmpdir(), "attune-scalar-"));
  try {
    const packed = await runNpm(["pack", `@scalar/api-reference@${VERSION}`], "The reference page", directory);
    const member = "package/dist/browser/standalone.js";
    await promisify(execFile)("tar", ["-xzf", packed.trim(), member], { cwd: directory });
    // Its map is larger than itself, and not served.
    const script = readFileSync(join(directory, member), "utf8").replace(/\n\/\/# sourceMappingURL=.*\n?$/, "\n");
    writeFileSync(SCRIPT, BANNER + script);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
