import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { buildEdge } from "../../scripts/stack/bundle.ts";
import { startEdge } from "../../scripts/stack/edge-server.ts";
import { statePaths } from "../../scripts/stack/paths.ts";
import { loadSecrets } from "../../scripts/stack/secrets.ts";
import { lockState } from "../../scripts/stack/state-lock.ts";

type RunningEdge = { url: string; adminToken: string };

/** What the edge is told of its inference workers: one, or with `pool` several origins instead. */
type Workers = { url: string; secret: string; pool?: string[] };

/** Where nobody listens: keys and sessions need no inference worker. */
const NO_WORKER: Workers = { url: "http://127.0.0.1:1", secret: "a-secret-that-nobody-checks" };

/**
 * The edge as `npm start` runs it, for the tests of one file.
 *
 * @param worker the inference worker, as it is when the edge starts
 */
export function runningEdge(worker: () => Workers = () => NO_WORKER) {
  const directory = mkdtempSync(join(tmpdir(), "attune-edge-"));
  const paths = statePaths(join(directory, "state"));
  const started = new AsyncDisposableStack();
  let edge: (RunningEdge & { restart(): Promise<void> }) | undefined;

  beforeAll(async () => {
    mkdirSync(paths.directory);
    const lock = lockState(paths);
    started.defer(lock.release);
    const secrets = loadSecrets(paths.secrets);
    await buildEdge(paths.bundle);
    const { url, secret, pool } = worker();
    const bindings = {
      WORKER_URL: url,
      WORKER_SECRET: secret,
      ...(pool !== undefined && { WORKERS: JSON.stringify(pool.map((origin) => ({ url: origin }))) }),
      KEY_PEPPER: secrets.keyPepper,
      ADMIN_TOKEN: secrets.adminToken,
    };
    const start = () => startEdge({ paths, port: 0, bindings, onRestart: () => {} });
    let server = await start();
    started.defer(() => server.stop());
    lock.publish(server.url);
    const restart = async () => {
      await server.stop();
      server = await start();
      lock.publish(server.url);
      edge = { url: server.url, adminToken: secrets.adminToken, restart };
    };
    edge = { url: server.url, adminToken: secrets.adminToken, restart };
  });
  afterAll(async () => {
    await started.disposeAsync();
    rmSync(directory, { recursive: true, force: true });
  });

  const current = () => {
    if (edge === undefined) throw new Error("The edge is not running");
    return edge;
  };
  return {
    /** A folder of the test's own; the edge's state is in it. */
    directory,
    stateDirectory: paths.directory,
    current: (): RunningEdge => current(),
    /** Stops the runtime at once, whatever it was doing, and starts it again on what is stored, at another address. */
    restart: () => current().restart(),
  };
}
