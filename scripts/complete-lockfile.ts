import { writeFileSync } from "node:fs";
import { LOCKFILE, type MissingPackage, missingPackages, readLockfile } from "./check/lockfile.ts";

/** As Node names them, and as package names abbreviate them. */
const OPERATING_SYSTEMS = new Map([
  ...["aix", "android", "darwin", "freebsd", "linux", "netbsd", "openbsd", "openharmony", "sunos", "win32"].map(same),
  ["win", "win32"],
  ["windows", "win32"],
]);
const PROCESSORS = new Map([
  ...["arm", "arm64", "ia32", "loong64", "ppc64", "riscv64", "s390x", "x64"].map(same),
  ["64", "x64"],
]);

/**
 * Adds to package-lock.json the optional packages that the registry at hand does not carry, so that `npm ci` accepts it everywhere
 * and installs them where they fit. Their integrity is not known here; npm adds it on the next install that can see them.
 */
const lockfile = readLockfile();
const missing = missingPackages(lockfile);
if (missing.length > 0) {
  const entries = [...Object.entries(lockfile.packages), ...missing.map(toEntry)];
  lockfile.packages = Object.fromEntries(entries.sort(([a], [b]) => a.localeCompare(b, "en")));
  writeFileSync(LOCKFILE, `${JSON.stringify(lockfile, null, 2)}\n`);
}
console.log(missing.length === 0 ? "Nothing was missing." : missing.map(({ name }) => `Added ${name}`).join("\n"));

function toEntry({ name, version, dev }: MissingPackage) {
  const words = (name.split("/").at(-1) ?? "").split("-");
  const os = words.map((word) => OPERATING_SYSTEMS.get(word)).find((found) => found !== undefined);
  const cpu = words.map((word) => PROCESSORS.get(word)).find((found) => found !== undefined);
  if (!/^\d+\.\d+\.\d+/.test(version) || os === undefined || cpu === undefined) {
    throw new Error(`${name}@${version} is no binary for one platform; add it to package-lock.json by hand.`);
  }
  const libc = words.some((word) => word.startsWith("musl")) ? ["musl"] : ["glibc"];
  const entry = {
    version,
    cpu: [cpu],
    ...(dev ? { dev } : {}),
    ...(os === "linux" && words.some((word) => /^(musl|gnu)/.test(word)) ? { libc } : {}),
    optional: true,
    os: [os],
  };
  return [`node_modules/${name}`, entry] as const;
}

function same(name: string): [string, string] {
  return [name, name];
}
