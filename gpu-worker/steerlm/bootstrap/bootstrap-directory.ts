import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { parseJsonFile } from "../../model/json-file.ts";
import { saveFile } from "../../model/save-file.ts";
import { lockDirectory } from "../directory-lock.ts";
import { type Identity, identityDifferences } from "../training/identity.ts";

const identitySchema = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]));

/**
 * Where replies and their labels are until the file is whole: a directory beside it, from which a bootstrap that was interrupted goes on.
 * Only one process at a time has it.
 */
export class BootstrapDirectory implements Disposable {
  readonly replies: string;
  readonly labels: string;
  readonly #path: string;
  readonly #lock: Disposable;

  private constructor(path: string, lock: Disposable) {
    this.replies = join(path, "replies.jsonl");
    this.labels = join(path, "labels.jsonl");
    this.#path = path;
    this.#lock = lock;
  }

  /**
   * @param out the file that is to be written
   * @param identity all that a reply and its labels depend on beside the question
   * @throws Error that names what differs where the bootstrap there was begun otherwise, or where another process is at it
   */
  static async open(out: string, identity: Identity): Promise<BootstrapDirectory> {
    const path = `${out}.partial`;
    const lock = await lockDirectory(path);
    try {
      await checkIdentity(path, identity);
      return new BootstrapDirectory(path, lock);
    } catch (error) {
      lock.close();
      throw error;
    }
  }

  /** Nothing of it is needed any more. */
  async remove(): Promise<void> {
    await rm(this.#path, { recursive: true });
  }

  [Symbol.dispose](): void {
    this.#lock[Symbol.dispose]();
  }
}

async function checkIdentity(path: string, identity: Identity): Promise<void> {
  const file = join(path, "bootstrap.json");
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  });
  if (text === null) return saveFile(file, [Buffer.from(`${JSON.stringify(identity, null, 2)}\n`)]);
  const differences = identityDifferences(parseJsonFile(file, text, identitySchema, "a bootstrap's options"), identity);
  if (differences.length === 0) return;
  throw new Error(
    `The bootstrap in ${path} was begun otherwise:\n${differences.map((one) => `  ${one}`).join("\n")}\n` +
      "Give the same files and options, or remove the directory to begin anew.",
  );
}
