/** The engine's thread: `session.run` blocks whoever calls it, so HTTP and tokenising live elsewhere. */
import { once } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { AdapterBank } from "../runtime/adapter-bank.ts";
import { DecoderSession } from "../runtime/decoder-session.ts";
import { CPU, kvMemory } from "../runtime/device.ts";
import { Engine, type EngineEvent } from "./engine.ts";
import type { EngineSetup, FromEngine, ToEngine } from "./messages.ts";

const port = parentPort;
if (port === null) throw new Error("This file runs as a worker thread");
const post = (message: FromEngine) => port.postMessage(message);

const setup: EngineSetup = workerData;
const memory = await kvMemory(setup.device ?? CPU, setup.config);
const { model, config, threads, adapters } = setup;
const session =
  adapters === undefined
    ? new DecoderSession(model, config, threads, { memory })
    : new DecoderSession(adapters.model, config, threads, {
        bank: new AdapterBank(config, adapters.memory),
        memory,
        plain: model,
      });
const engine = new Engine(session, { tokens: setup.tokens, eosIds: new Set(setup.eosIds) }, setup.options);

/** Commands wait here until the step in progress is over, for the engine must not change in the middle of one. */
const inbox: ToEngine[] = [];
port.on("message", (message: ToEngine) => inbox.push(message));

let closing = false;

function obey(): EngineEvent[] {
  return inbox.splice(0).flatMap((command) => {
    if (command.type === "cancel") return engine.cancel(command.id) ?? [];
    if (command.type === "submit") engine.submit(command.request);
    else closing = true;
    return [];
  });
}

post({ type: "ready" });
for (;;) {
  const cancelled = obey();
  if (closing) break;
  if (!engine.busy && cancelled.length === 0) {
    await once(port, "message");
    continue;
  }
  const report = engine.step();
  post({ type: "step", report: { ...report, events: [...cancelled, ...report.events] } });
  // A step blocks the thread; now whatever was sent meanwhile can arrive.
  await turn();
}
// A thread that is terminated in the middle of native code may take the process with it; this one ends by itself.
session.release();
port.close();
