import { setTimeout as sleep } from "node:timers/promises";
import { type BackendOptions, startBackend } from "./stack/backend.ts";
import { buildEdge } from "./stack/bundle.ts";
import { addKey, ensureDemoProject, type KeyLimits } from "./stack/demo-project.ts";
import { startEdge } from "./stack/edge-server.ts";
import { StackError } from "./stack/stack-error.ts";

const READY_MS = 30_000;
const POLL_MS = 50;

export type Stack = {
  /** The edge's origin. */
  url: string;
  /** A secret key of the demo project. */
  key: string;
  /** Creates another one, with limits of its own. */
  addKey(limits: KeyLimits): Promise<string>;
  workerUrl: string;
  workerSecret: string;
  workerPid: number;
  /** Resolves when a part that the stack cannot do without ended by itself. */
  died: Promise<StackError>;
  stop(): Promise<void>;
};

/**
 * Starts the whole product on this machine, as `npm start` does: model, decoder graph, inference worker, edge and database.
 *
 * @throws StackError when a step fails; what was started before it is stopped again
 */
export async function startStack(options: BackendOptions): Promise<Stack> {
  await using started = new AsyncDisposableStack();
  const { paths, secrets, worker, bindings, progress, step, publish } = await startBackend(options, started);

  const edge = await step("Edge", async () => {
    await buildEdge(paths.bundle);
    const onRestart = () => progress.notice("The Workers runtime crashed and was started again.");
    const server = await startEdge({ paths, port: options.port, bindings, onRestart });
    started.defer(server.stop);
    await ensureDemoProject(server.database, secrets);
    return server;
  });
  await step("Inference worker", async () => {
    await worker.ready;
    await untilAnswering(edge.url, secrets.demoKey);
  });

  publish(edge.url);
  const running = started.move();
  return {
    url: edge.url,
    key: secrets.demoKey,
    addKey: (limits) => addKey(edge.database, secrets, limits),
    workerUrl: worker.url,
    workerSecret: secrets.workerSecret,
    workerPid: worker.pid,
    died: worker.died,
    stop: () => running.disposeAsync(),
  };
}

/** Waits until a request goes all the way through: key, database and worker. */
async function untilAnswering(url: string, key: string): Promise<void> {
  const deadline = Date.now() + READY_MS;
  let last = "no answer";
  while (Date.now() < deadline) {
    const response = await fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
    if (response.status === 200) {
      await response.body?.cancel();
      return;
    }
    last = `${response.status} ${await response.text()}`;
    await sleep(POLL_MS);
  }
  throw new StackError(`The edge did not answer GET /v1/models within ${READY_MS / 1000} seconds: ${last}`);
}
