import { join } from "node:path";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { unstable_getMiniflareWorkerOptions, unstable_readConfig } from "wrangler";
import { openLog, tail } from "./log-file.ts";
import { applyMigrations, type Database } from "./migrations.ts";
import { repository, type StatePaths } from "./paths.ts";
import { StackError } from "./stack-error.ts";

const CONFIG = join(repository, "wrangler.toml");

export type EdgeServer = { url: string; database: Database; stop(): Promise<void> };

/** Sends what Miniflare itself has to say to the log file. */
class FileLog extends Log {
  readonly #line: (text: string) => void;

  constructor(line: (text: string) => void) {
    super(LogLevel.WARN);
    this.#line = line;
  }

  protected override log(message: string): void {
    this.#line(message);
  }
}

/**
 * Runs the built Worker in the Workers runtime, with real D1 and Durable Objects, set up by wrangler.toml; brings the database up
 * to date.
 *
 * @param options.bindings what wrangler.toml leaves to the environment
 * @param options.onRestart called after the runtime crashed and Miniflare started it again on the same port
 * @param options.direct whether requests reach the Worker without Miniflare's entry, and its calls the network without its exit; no static
 *   assets are served then
 */
export async function startEdge(options: {
  paths: StatePaths;
  port: number;
  bindings: Record<string, string>;
  onRestart: () => void;
  direct?: boolean;
}): Promise<EdgeServer> {
  const { paths } = options;
  const config = unstable_readConfig({ config: CONFIG }, { hideWarnings: true });
  const { workerOptions, externalWorkers } = unstable_getMiniflareWorkerOptions(CONFIG);
  const [d1] = config.d1_databases;
  if (config.name === undefined || d1?.migrations_dir === undefined) {
    throw new StackError("wrangler.toml names no Worker, or no D1 database with a migrations_dir.");
  }

  const served = { ...workerOptions };
  if (options.direct) delete served.assets;
  const log = openLog(paths.edgeLog);
  const miniflare = keepingSignals(
    () =>
      new Miniflare(
        convertV4MiniflareOptions({
          host: "127.0.0.1",
          port: options.port,
          // No look-up of the request's location on the internet.
          cf: false,
          telemetry: { enabled: false },
          resourcePersistencePath: join(paths.persisted, "v3"),
          log: new FileLog(log.line),
          handleStructuredLogs: (entry) => log.line(`${entry.level} ${entry.message}`),
          unsafeHandleRuntimeRestart: options.onRestart,
          workers: [
            {
              ...served,
              ...(options.direct && {
                unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
                stripCfConnectingIp: false,
              }),
              name: config.name,
              bindings: { ...config.vars, ...options.bindings },
              modulesRoot: paths.bundle,
              modules: [{ type: "ESModule", path: join(paths.bundle, "worker.js") }],
            },
            ...externalWorkers,
          ],
        }),
      ),
  );
  const stop = async () => {
    await miniflare.dispose();
    log.close();
  };

  try {
    const entry = await miniflare.ready;
    const url = options.direct ? await miniflare.unsafeGetDirectURL(config.name) : entry;
    const database = await miniflare.getD1Database(d1.binding);
    await applyMigrations(database, join(repository, d1.migrations_dir));
    return { url: url.origin, database, stop };
  } catch (error) {
    await stop().catch(() => {});
    if (error instanceof StackError) throw error;
    throw new StackError(`The edge Worker could not be started. The end of its log, ${log.path}:\n${tail(log.path)}`, {
      cause: error,
    });
  }
}

/**
 * Miniflare takes signals to mean that the process ends at once. How it ends is for the caller to say, so the listeners that
 * `create` adds are taken off again.
 */
function keepingSignals<T>(create: () => T): T {
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  const before = signals.map((signal) => process.listeners(signal));
  const created = create();
  for (const [index, signal] of signals.entries()) {
    const added = process.listeners(signal).filter((listener) => !before[index]?.includes(listener));
    for (const listener of added) process.off(signal, listener);
  }
  return created;
}
