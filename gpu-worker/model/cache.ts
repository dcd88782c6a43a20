import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** Where models and graphs are kept between runs: `ATTUNE_CACHE_DIR`, else `attune` in the user's cache directory. */
export function cacheDirectory(env: NodeJS.ProcessEnv = process.env): string {
  const own = env.ATTUNE_CACHE_DIR;
  if (own !== undefined && own !== "") return resolve(own);
  const user = env.XDG_CACHE_HOME;
  // The XDG specification: a path that is not absolute is to be ignored.
  const base = user?.startsWith("/") ? user : join(homedir(), ".cache");
  return join(base, "attune");
}
