/** Reads attributes off answers in a thread of its own: a batch blocks it for seconds, in which requests go on being served. */
import { parentPort, workerData } from "node:worker_threads";
import { AttuneError } from "../../schema/wire/errors.ts";
import type { JudgedAnswer } from "../model/attribute-text.ts";
import { AttributeScorer, type ScorerOptions } from "../runtime/attribute-scorer.ts";
import type { FromReader, Reading, ToReader } from "./attribute-messages.ts";

const port = parentPort;
if (port === null) throw new Error("This file runs as a worker thread");
const post = (message: FromReader) => port.postMessage(message);

const setup: ScorerOptions = workerData;
const scorer = await AttributeScorer.load(setup);

/** Together; where the template refuses one of them, each by itself, so that the others do not suffer from it. */
async function read(answers: JudgedAnswer[]): Promise<Reading[]> {
  try {
    return (await scorer.score(answers)).map((predictions) => ({ predictions }));
  } catch (error) {
    if (!AttuneError.isInstance(error)) throw error;
    const [only, ...more] = answers;
    if (only !== undefined && more.length === 0) return [{ refused: error.message }];
    const readings: Reading[] = [];
    for (const answer of answers) readings.push(...(await read([answer])));
    return readings;
  }
}

async function obey(message: ToReader): Promise<void> {
  if (message.type === "read") {
    post({ type: "read", readings: await read(message.answers) });
    return;
  }
  // A thread that is terminated in the middle of native code may take the process with it; this one ends by itself.
  scorer.release();
  port?.close();
}

let last: Promise<void> = Promise.resolve();
port.on("message", (message: ToReader) => {
  last = last.then(() => obey(message));
});
post({ type: "ready" });
