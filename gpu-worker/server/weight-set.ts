import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";

/** The weights behind a model, as operators see them. */
export type WeightSet = {
  /** What is merged into them; `null` for a model as it was published. */
  readonly adapter: string | null;
  /** Size of the files they were loaded from; `null` where it is not known: before they were loaded, or on another machine. */
  bytes: number | null;
};

/** Bytes of all files in a directory. */
export async function directoryBytes(directory: string): Promise<number> {
  const sizes = await Promise.all(
    (await readdir(directory)).map(async (name) => (await stat(join(directory, name))).size),
  );
  return sizes.reduce((total, size) => total + size, 0);
}
