import { appendFile, readFile } from "node:fs/promises";
import { z } from "zod";
import { saveFile, writingFailed } from "../../model/save-file.ts";

const recordSchema = z.looseObject({ step: z.int() });

/** A file of JSON lines, one for each step. */
export class History {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** @throws Error that says what to do, where the disk does not take it */
  async append(record: { step: number; [measure: string]: number }): Promise<void> {
    await appendFile(this.#path, `${JSON.stringify(record)}\n`).catch((error: unknown) => {
      throw writingFailed(this.#path, error);
    });
  }

  /** Forgets what came after a step: it will be done again. Of a line that is cut off nothing is known. */
  async truncate(step: number): Promise<void> {
    const text = await readFile(this.#path, "utf8").catch((error: unknown) => {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
      throw error;
    });
    if (text === null) return;
    const kept = text.split("\n").filter((line) => isUpTo(line, step));
    await saveFile(this.#path, [Buffer.from(kept.map((line) => `${line}\n`).join(""))]);
  }
}

function isUpTo(line: string, step: number): boolean {
  try {
    const record = recordSchema.safeParse(JSON.parse(line));
    return record.success && record.data.step <= step;
  } catch {
    return false;
  }
}
