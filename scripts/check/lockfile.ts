import { readFileSync } from "node:fs";
import { join } from "node:path";
import { repository } from "../stack/paths.ts";
import type { Outcome } from "./check.ts";

/** Read without a schema: what is written back must keep npm's order of keys. */
export type Lockfile = { packages: Record<string, { dev?: boolean; optionalDependencies?: Record<string, string> }> };

export const LOCKFILE = join(repository, "package-lock.json");

export function readLockfile(): Lockfile {
  return JSON.parse(readFileSync(LOCKFILE, "utf8"));
}

export type MissingPackage = { name: string; version: string; dev: boolean };

/**
 * Optional packages, mostly binaries for other platforms, that the lockfile lacks. npm leaves out those that the registry it was made
 * with does not carry (a mirror, say), and `npm ci` then refuses the lockfile everywhere.
 */
export function missingPackages({ packages }: Lockfile): MissingPackage[] {
  return Object.entries(packages).flatMap(([path, { dev = false, optionalDependencies = {} }]) =>
    Object.entries(optionalDependencies)
      .filter(([name]) => !placesFor(path, name).some((place) => place in packages))
      .map(([name, version]) => ({ name, version, dev })),
  );
}

/** Where Node would look for a dependency of the package at `path`, nearest first. */
function placesFor(path: string, name: string): string[] {
  const folders = path.split("/node_modules/");
  const nested = folders.map((_, depth) => folders.slice(0, folders.length - depth).join("/node_modules/"));
  return [
    ...nested.filter((folder) => folder !== "").map((folder) => `${folder}/node_modules/${name}`),
    `node_modules/${name}`,
  ];
}

export async function checkLockfile(): Promise<Outcome> {
  const missing = missingPackages(readLockfile()).map(({ name, version }) => `${name}@${version}`);
  if (missing.length === 0) return { ok: true, output: "" };
  const what = `package-lock.json lacks optional packages, so npm ci refuses it:\n${missing.join("\n")}\n`;
  return { ok: false, output: `${what}Run node scripts/complete-lockfile.ts and commit the lockfile.` };
}
