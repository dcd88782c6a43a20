import { DatabaseSync, type StatementSync } from "node:sqlite";
import { writingFailed } from "../../model/save-file.ts";

/**
 * Answers of servers that were paid for, in time or in money, by what was asked: a run that was broken off asks nothing twice, and loses
 * nothing that was added.
 */
export class CallStore implements Disposable {
  readonly #path: string;
  readonly #database: DatabaseSync;
  readonly #find: StatementSync;
  readonly #insert: StatementSync;

  /** @throws Error where the file cannot be written, or holds something else */
  constructor(path: string) {
    this.#path = path;
    this.#database = new DatabaseSync(path);
    try {
      // An answer that was added outlives the process; only a machine that loses power may forget the last ones.
      this.#database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
      this.#database.exec("CREATE TABLE IF NOT EXISTS calls (question TEXT PRIMARY KEY, answer TEXT NOT NULL) STRICT");
      this.#find = this.#database.prepare("SELECT answer FROM calls WHERE question = ?");
      this.#insert = this.#database.prepare("INSERT OR REPLACE INTO calls VALUES (?, ?)");
    } catch (error) {
      this.#database.close();
      throw writingFailed(path, error);
    }
  }

  find(question: string): string | null {
    const answer = this.#find.get(question)?.answer;
    return typeof answer === "string" ? answer : null;
  }

  /** @throws Error that says what to do, where the disk does not take it */
  add(question: string, answer: string): void {
    try {
      this.#insert.run(question, answer);
    } catch (error) {
      throw writingFailed(this.#path, error);
    }
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}
