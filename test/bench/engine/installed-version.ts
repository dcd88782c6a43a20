import { readFileSync } from "node:fs";
import { findPackageJSON } from "node:module";

/** Version of this repository. */
export function attuneVersion(): string {
  return JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")).version;
}

/** Version of a package as the file at `from` would import it. */
export function installedVersion(name: string, from: string): string {
  const path = findPackageJSON(name, from);
  return path === undefined ? "unknown" : JSON.parse(readFileSync(path, "utf8")).version;
}
