import { Worker } from "node:worker_threads";
import type { ResponseFormat } from "../../schema/api/response-format.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import { failMask, releaseMask, sharedMask } from "../engine/token-mask.ts";
import type { Tokenizer } from "../model/tokenizer.ts";
import type { FromGrammar, GrammarSetup, GrammarSource } from "./grammar-messages.ts";
import { unenforceable } from "./json-schema.ts";

/** Grammars that are kept ready. Each has a thread of its own, which sleeps between tokens, and 65 MB (with 49 152 tokens). */
const KEPT = 4;

/** A schema that takes longer to compile is refused. Shorter than the edge waits for an admission. */
const COMPILE_MS = 15_000;

/** A grammar, from the request that first asked for it until it makes room for others. */
type Entry = {
  /** Its thread, once it is compiled. Rejects where it cannot be, and goes on doing so: asking again costs nothing. */
  compiled: Promise<Worker>;
  /** Requests that wait for it or follow it. */
  users: number;
};

/** One answer's way to its grammar. `close` it when the answer is over. */
export type OpenGrammar = { mask: SharedArrayBuffer; close: () => void };

/** The grammars of response formats: each compiled once and run beside the engine, the least recently used forgotten. */
export class Grammars {
  readonly #tokenizer: Tokenizer;
  /** The least recently used first. */
  readonly #entries = new Map<string, Entry>();
  /** Compiling takes a whole processor: one at a time leaves the others to the engine. */
  #lastCompiled: Promise<unknown> = Promise.resolve();

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /**
   * Makes the grammar of a format ready for one answer.
   *
   * @throws AttuneError `invalid_request` for a schema that cannot be compiled or kept to, `queue_full` while all grammars are in use
   */
  async open(format: ResponseFormat): Promise<OpenGrammar> {
    const source = sourceOf(format);
    const key = JSON.stringify(source);
    const entry = this.#entries.get(key) ?? this.#start(key, source);
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    entry.users++;
    try {
      return follow(await entry.compiled, this.#tokenizer.vocabSize, () => entry.users--);
    } catch (error) {
      entry.users--;
      throw error;
    }
  }

  #start(key: string, source: GrammarSource): Entry {
    this.#makeRoom();
    const { eosIds } = this.#tokenizer;
    const compiled = this.#lastCompiled.then(() =>
      compile({ tokens: this.#tokenizer.tokenByteTable(), eosIds: [...eosIds], source }),
    );
    const entry = { compiled, users: 0 };
    const forget = () => {
      if (this.#entries.get(key) === entry) this.#entries.delete(key);
    };
    this.#lastCompiled = compiled.then(
      (thread) => thread.once("exit", forget),
      (error: unknown) => AttuneError.isInstance(error) || forget(),
    );
    return entry;
  }

  #makeRoom(): void {
    if (this.#entries.size < KEPT) return;
    const [unused] = [...this.#entries].filter(([, { users }]) => users === 0);
    if (unused === undefined) {
      throw new AttuneError(
        "queue_full",
        "The server is busy with other response formats. Try again in a few seconds.",
      );
    }
    const [key, { compiled }] = unused;
    this.#entries.delete(key);
    compiled.then(
      (thread) => thread.terminate(),
      () => {},
    );
  }
}

/** @throws AttuneError for a schema of which something could not be kept to */
function sourceOf(format: ResponseFormat): GrammarSource {
  if (format.type === "json_object") return { schema: '{"type":"object"}', strict: false };
  const problem = unenforceable(format.schema);
  if (problem !== null) throw refusal(problem);
  return { schema: JSON.stringify(format.schema), strict: true };
}

function refusal(reason: string): AttuneError {
  return new AttuneError("invalid_request", `response_format: this JSON schema is not supported: ${reason}`, {
    param: "response_format",
  });
}

async function compile(setup: GrammarSetup): Promise<Worker> {
  const thread = new Worker(new URL("./grammar-thread.ts", import.meta.url), { workerData: setup });
  const { promise, resolve, reject } = Promise.withResolvers<Worker>();
  const seconds = COMPILE_MS / 1000;
  const deadline = setTimeout(() => {
    reject(
      refusal(`it takes more than ${seconds} s to compile; a lower maxLength or maxItems, or none, makes it simpler`),
    );
    void thread.terminate();
  }, COMPILE_MS);
  thread.on("message", (message: FromGrammar) => {
    if (message.type === "ready") resolve(thread);
    else reject(refusal(message.reason));
  });
  thread.on("error", reject);
  thread.once("exit", () => reject(new Error("The grammar's thread ended")));
  try {
    return await promise;
  } finally {
    clearTimeout(deadline);
    // A grammar that nobody uses does not keep the process from ending.
    thread.unref();
  }
}

function follow(thread: Worker, vocabulary: number, onClose: () => void): OpenGrammar {
  const mask = sharedMask(vocabulary);
  const fail = () => failMask(mask);
  thread.once("exit", fail);
  thread.postMessage(mask);
  return {
    mask,
    close() {
      thread.off("exit", fail);
      releaseMask(mask);
      onClose();
    },
  };
}
