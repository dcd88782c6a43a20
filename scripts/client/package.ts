import { copyFileSync, globSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { tool } from "../check/check.ts";
import { readJson } from "../stack/atomic-file.ts";
import { repository } from "../stack/paths.ts";
import { StackError } from "../stack/stack-error.ts";

const packageSchema = z.object({ name: z.string(), version: z.string(), license: z.string() });

/** This project's package.json has the dependencies of the whole product; the client has none. */
const packageJson = () => ({
  ...packageSchema.parse(readJson(join(repository, "package.json"))),
  description: "Client of the Attune API: a chat API whose answers the caller steers.",
  type: "module",
  engines: { node: ">=20" },
  sideEffects: false,
  exports: { "./client": { types: "./client/attune.d.ts", default: "./client/attune.js" } },
  files: ["client"],
});

/**
 * Builds the package that `attune/client` is imported from, as JavaScript with its types.
 *
 * @param directory is emptied first
 * @throws StackError with what the compiler says
 */
export async function buildClientPackage(directory: string): Promise<void> {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const outDir = join(directory, "client");
  const emit = ["--noEmit", "false", "--declaration", "--outDir", outDir, "--rootDir", join(repository, "client")];
  const { ok, output } = await tool("tsc", ["-p", join(repository, "client"), ...emit]);
  if (!ok || globSync("*.js", { cwd: outDir }).length === 0) {
    throw new StackError(`The client could not be built:\n${output}`);
  }
  writeFileSync(join(directory, "package.json"), `${JSON.stringify(packageJson(), null, 2)}\n`);
  copyFileSync(join(repository, "LICENSE"), join(directory, "LICENSE"));
  copyFileSync(join(repository, "docs", "client.md"), join(directory, "README.md"));
}
