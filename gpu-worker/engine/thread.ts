/** The engine's thread: `session.run` blocks whoever calls it, so HTTP and tokenising live elsewhere. */
import { once } from "node:events";
import { parentPort, workerData } from "node:worker_threads";
import { DecoderSession } from "../runtime/decoder-session.ts";
import { Engine, type EngineEvent } from "./engine.ts";
import type { EngineSetup, FromEngine, ToEngine } from "./messages.ts";

const port = parentPort;
if (port === null) throw new Error("This file runs as a worker thread");
const post = (message: FromEngine) => port.postMessage(message);

const setup: EngineSetup = workerData;
const session = await DecoderSession.load(setup.model, setup.config, setup.threads);
const engine = new Engine(session, { tokens: setup.tokens, eosIds: new Set(setup.eosIds) }, setup.options);

/** Commands wait here until the step in progress is over, for the engine must not change in the middle of one. */
const inbox: ToEngine[] = [];
port.on("message", (message: ToEngine) => inbox.push(message));

function obey(): EngineEvent[] {
  return inbox.splice(0).flatMap((command) => {
    if (command.type === "cancel") return engine.cancel(command.id) ?? [];
    engine.submit(command.request);
    return [];
  });
}

post({ type: "ready" });
for (;;) {
  const cancelled = obey();
  if (!engine.busy && cancelled.length === 0) {
    await once(port, "message");
    continue;
  }
  const report = await engine.step();
  post({ type: "step", report: { ...report, events: [...cancelled, ...report.events] } });
}
