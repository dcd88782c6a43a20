import { createReadStream } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { z } from "zod";
import { type Conversation, conversationSchema } from "../datasets/conversation.ts";
import { JsonLinesFile } from "../datasets/json-lines-file.ts";
import { lockDirectory } from "../directory-lock.ts";
import { JsonlLog } from "../evaluate/jsonl-log.ts";
import { type Identity, identityDifferences } from "../training/identity.ts";

const headerSchema = z.strictObject({
  annotation: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
});
const rowSchema = z.union([headerSchema, conversationSchema]);
type Row = z.infer<typeof rowSchema>;

const isConversation = (row: Row): row is Conversation => "turns" in row;

/**
 * Annotated conversations on their way into a file that is there whole or not at all. Until then they are in a directory beside it, from which
 * an annotation that was interrupted goes on. Only one process at a time has it.
 */
export class AnnotationFile implements AsyncDisposable {
  readonly path: string;
  readonly #directory: string;
  readonly #log: JsonlLog<Row>;
  /** Names of the conversations that were annotated before, in their order. */
  readonly #before: readonly string[];
  readonly #opened: AsyncDisposableStack;
  #next = 0;

  private constructor(path: string, directory: string, log: JsonlLog<Row>, opened: AsyncDisposableStack) {
    this.path = path;
    this.#directory = directory;
    this.#log = log;
    this.#opened = opened;
    this.#before = log.rows.filter(isConversation).map(({ id }) => id);
  }

  /**
   * Begins an annotation, or goes on with the one that was interrupted.
   *
   * @param identity all that the annotation depends on beside the conversations
   * @throws Error that names what differs where it was begun otherwise, or where another process is at it
   */
  static async open(path: string, identity: Identity): Promise<AnnotationFile> {
    const directory = `${path}.partial`;
    await using opened = new AsyncDisposableStack();
    const lock = await lockDirectory(directory);
    opened.defer(() => lock.close());
    const log = await JsonlLog.open(join(directory, "rows.jsonl"), rowSchema);
    opened.defer(() => log.close());
    const [header] = log.rows;
    if (header === undefined) await log.append({ annotation: identity });
    else if ("annotation" in header) refuseOther(directory, identityDifferences(header.annotation, identity));
    return new AnnotationFile(path, directory, log, opened.move());
  }

  /** How many conversations were annotated before. */
  get resumed(): number {
    return this.#before.length;
  }

  /**
   * Whether the next conversation was annotated before.
   *
   * @throws Error where another one was in its place
   */
  hasNext({ id }: Conversation): boolean {
    const before = this.#before[this.#next];
    if (before === undefined) return false;
    if (before !== id) refuseOther(this.#directory, [`conversation ${this.#next + 1}: ${before} then, ${id} now`]);
    this.#next++;
    return true;
  }

  /** @throws Error where the disk does not take it */
  async append(conversation: Conversation): Promise<void> {
    await this.#log.append(conversation);
  }

  /**
   * Writes the file, over one of that name, and leaves nothing else.
   *
   * @returns how many conversations it has.
   * @throws Error where conversations that were annotated before did not come again, or the disk does not take the file
   */
  async finish(): Promise<number> {
    const missing = this.#before[this.#next];
    if (missing !== undefined)
      refuseOther(this.#directory, [`conversation ${this.#next + 1}: ${missing} then, none now`]);
    const file = await JsonLinesFile.create(this.path);
    try {
      const lines = createInterface({ input: createReadStream(this.#log.path), crlfDelay: Number.POSITIVE_INFINITY });
      for await (const line of lines) {
        const row = rowSchema.parse(JSON.parse(line));
        if (isConversation(row)) await file.write(row);
      }
      await file.commit();
    } finally {
      await file.discard();
    }
    await rm(this.#directory, { recursive: true });
    return file.lines;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#opened.disposeAsync();
  }
}

function refuseOther(directory: string, differences: readonly string[]): void {
  if (differences.length === 0) return;
  throw new Error(
    `The annotation in ${directory} was begun otherwise:\n${differences.map((one) => `  ${one}`).join("\n")}\n` +
      "Give the same files and options, or remove the directory to begin anew.",
  );
}
