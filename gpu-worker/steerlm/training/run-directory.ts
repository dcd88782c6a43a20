import { access } from "node:fs/promises";
import { join } from "node:path";
import { lockDirectory } from "../directory-lock.ts";
import { type Checkpoint, readCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import { History } from "./history.ts";
import { type Identity, identityDifferences } from "./identity.ts";

/** Where a training run keeps its checkpoint, its history and what comes of it. Only one process at a time has it. */
export class RunDirectory implements Disposable {
  readonly path: string;
  readonly history: History;
  readonly #lock: Disposable;
  readonly #checkpoint: string;

  private constructor(path: string, lock: Disposable) {
    this.path = path;
    this.history = new History(join(path, "history.jsonl"));
    this.#lock = lock;
    this.#checkpoint = join(path, "checkpoint");
  }

  /**
   * Makes the directory this process's own, until it is disposed of.
   *
   * @param resume whether a run that was begun there is gone on with; where there is none one is begun
   * @throws Error where another process has it, where a run was begun there and is not to be gone on with, or it cannot be written
   */
  static async open(path: string, { resume }: { resume: boolean }): Promise<RunDirectory> {
    const run = new RunDirectory(path, await lockDirectory(path, "trains"));
    const isBegun = await access(run.#checkpoint).then(
      () => true,
      () => false,
    );
    if (!isBegun || resume) return run;
    run[Symbol.dispose]();
    throw new Error(`${path} holds a training run. Go on with it by --resume, or name another directory.`);
  }

  /**
   * Where the run that was begun here stopped, null where there is none. Its history is cut back to there.
   *
   * @throws Error that names what differs, where the run was begun otherwise
   */
  async restore(identity: Identity): Promise<Checkpoint | null> {
    const checkpoint = await readCheckpoint(this.#checkpoint);
    if (checkpoint !== null) {
      const differences = identityDifferences(checkpoint.identity, identity);
      if (differences.length > 0) {
        throw new Error(
          `The training run in ${this.path} was begun otherwise:\n${differences.map((one) => `  ${one}`).join("\n")}\n` +
            "Give the same options, files and model, or name another directory.",
        );
      }
    }
    await this.history.truncate(checkpoint?.step ?? 0);
    return checkpoint;
  }

  /** @throws Error that says what to do, where the disk does not take it; the checkpoint before is kept */
  async save(checkpoint: Checkpoint): Promise<void> {
    await writeCheckpoint(this.#checkpoint, checkpoint);
  }

  [Symbol.dispose](): void {
    this.#lock[Symbol.dispose]();
  }
}
