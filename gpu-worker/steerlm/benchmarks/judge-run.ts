import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import type { Patience } from "../../model/patience.ts";
import { concurrently } from "../concurrently.ts";
import { lockDirectory } from "../directory-lock.ts";
import { CallStore } from "./call-store.ts";
import { Chat, type ChatServer } from "./chat-server.ts";

export type JudgeRunOptions = {
  directory: string;
  judge: ChatServer;
  /** The server whose answers are judged; without it they come from a file. */
  answering?: ChatServer | undefined;
  /** Requests at once. */
  concurrency: number;
  signal: AbortSignal;
  patience: Patience;
  /** Hears how many of the work's parts are done. */
  onProgress: (noun: string) => (done: number, total: number) => void;
};

/** One evaluation by a judge: its servers, and the directory that keeps what they answered, so that it can be gone on with. */
export class JudgeRun implements Disposable {
  readonly judge: Chat;
  readonly answering: Chat | null;
  readonly #lock: DatabaseSync;
  readonly #store: CallStore;
  readonly #options: JudgeRunOptions;

  private constructor(options: JudgeRunOptions, lock: DatabaseSync, store: CallStore) {
    const { judge, answering, patience } = options;
    this.#options = options;
    this.#lock = lock;
    this.#store = store;
    this.judge = new Chat(judge, this.#store, patience);
    this.answering = answering === undefined ? null : new Chat(answering, this.#store, patience);
  }

  /** @throws Error where another process works in the directory, or it cannot be written */
  static async open(options: JudgeRunOptions): Promise<JudgeRun> {
    const lock = await lockDirectory(options.directory);
    try {
      return new JudgeRun(options, lock, new CallStore(join(options.directory, "calls.sqlite")));
    } catch (error) {
      lock.close();
      throw error;
    }
  }

  /** The path of a file of the run. */
  path(name: string): string {
    return join(this.#options.directory, name);
  }

  /** Does the work for every item, several at a time, and says how far it has come. */
  async each<T, R>(
    noun: string,
    items: readonly T[],
    work: (item: T, signal: AbortSignal) => Promise<R>,
  ): Promise<R[]> {
    const { concurrency, signal, onProgress } = this.#options;
    const report = onProgress(noun);
    let done = 0;
    report(done, items.length);
    return concurrently(items, concurrency, signal, async (item, either) => {
      const result = await work(item, either);
      report(++done, items.length);
      return result;
    });
  }

  [Symbol.dispose](): void {
    this.#store[Symbol.dispose]();
    this.#lock.close();
  }
}
