import { randomUUID } from "node:crypto";
import { link, mkdir, readdir, readFile, rename, rm, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { fileSize, onDisk } from "../part-file.ts";
import type { FileSource, PinnedFile } from "../pinned-file.ts";
import { type Listing, listingSchema } from "./hub.ts";
import { isCommit } from "./hub-id.ts";

/**
 * What is remembered of one repository, in its directory of the cache:
 *
 *     refs/main.json   which commit `main` was when the hub was last asked
 *     COMMIT.json      the files of a commit: name, size, hash
 *     COMMIT/          those of them that were fetched
 */
export type Records = ReturnType<typeof recordsIn>;

const refSchema = z.object({ commit: z.string().refine(isCommit) });

export function recordsIn(directory: string) {
  const refPath = (revision: string) => join(directory, "refs", `${encodeURIComponent(revision)}.json`);
  const listingPath = (commit: string) => join(directory, `${commit}.json`);
  const readCommit = (commit: string) => readRecord(listingPath(commit), listingSchema);

  return {
    snapshot: (commit: string) => join(directory, commit),

    /** The files of what a revision was when the hub was last asked; `null` where it never was. */
    async read(revision: string): Promise<Listing | null> {
      if (isCommit(revision)) return readCommit(revision);
      const ref = await readRecord(refPath(revision), refSchema);
      return ref === null ? null : readCommit(ref.commit);
    },

    async write(revision: string, listing: Listing): Promise<void> {
      await writeRecord(listingPath(listing.commit), listing);
      if (!isCommit(revision)) await writeRecord(refPath(revision), { commit: listing.commit });
    },

    /** Snapshots of other commits that have the same file. It is linked, so that it takes no room twice. */
    async earlier(commit: string, { file, bytes, digest }: PinnedFile): Promise<FileSource[]> {
      const names = await readdir(directory).catch(() => []);
      const commits = names.map((name) => name.replace(/\.json$/, "")).filter((name) => isCommit(name));
      const sources = [...new Set(commits)].map(async (other) => {
        const listing = other === commit ? null : await readCommit(other);
        const isSame = listing?.files.some((known) => known.file === file && known.digest.hex === digest.hex) ?? false;
        const path = join(directory, other, file);
        return isSame && (await fileSize(path)) === bytes ? [linkSource(path)] : [];
      });
      return (await Promise.all(sources)).flat();
    },
  };
}

function linkSource(path: string): FileSource {
  return {
    name: path,
    async complete(part) {
      await rm(part, { force: true });
      await link(path, part);
      // An old part would look abandoned to others.
      await utimes(part, new Date(), new Date());
    },
  };
}

/** A record, or `null` where there is none or it is damaged: it can always be asked for again. */
async function readRecord<T>(path: string, schema: z.ZodType<T>): Promise<T | null> {
  try {
    return schema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return null;
  }
}

async function writeRecord(path: string, record: object): Promise<void> {
  const unfinished = `${path}.${randomUUID()}`;
  const write = async () => {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(unfinished, JSON.stringify(record));
    await rename(unfinished, path);
  };
  await onDisk(dirname(path), write());
}
