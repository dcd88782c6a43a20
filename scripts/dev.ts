import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { aborted, INTERRUPTED, interruption } from "./interruption.ts";
import { endWithParent } from "./leash.ts";
import { startBackend } from "./stack/backend.ts";
import { buildEdge, QUIET_WRANGLER, wranglerScript } from "./stack/bundle.ts";
import { ensureDemoProject } from "./stack/demo-project.ts";
import { startEdge } from "./stack/edge-server.ts";
import { repository } from "./stack/paths.ts";
import { StackError } from "./stack/stack-error.ts";
import { type StackOptions, stackCommand } from "./start/options.ts";
import { terminalProgress } from "./start/progress.ts";
import { playgroundLink } from "./start/welcome.ts";

const options = stackCommand(
  "npm run dev --",
  "Starts Attune as npm start does, with the same database and key, but runs the edge in `wrangler dev`, which builds it again " +
    "with every change.",
)
  .parse()
  .opts<StackOptions>();

endWithParent();
const signal = interruption();
process.exit(await run());

async function run(): Promise<number> {
  await using started = new AsyncDisposableStack();
  try {
    const backend = await startBackend({ ...options, progress: terminalProgress, signal }, started);
    const { paths, secrets, worker, bindings, step, publish } = backend;
    await step("Database", async () => {
      await buildEdge(paths.bundle);
      const edge = await startEdge({ paths, port: 0, bindings, onRestart: () => {} });
      await ensureDemoProject(edge.database, secrets);
      await edge.stop();
    });
    await step("Inference worker", () => worker.ready);

    const variables = join(paths.directory, "dev.env");
    writeFileSync(
      variables,
      Object.entries(bindings)
        .map((pair) => `${pair.join("=")}\n`)
        .join(""),
      { mode: 0o600 },
    );
    const url = `http://127.0.0.1:${options.port}`;
    publish(url);
    console.log(`\nPlayground  ${playgroundLink(url, secrets.demoKey)}\nKey         ${secrets.demoKey}\n`);
    return await Promise.race([
      runWrangler(variables, paths.persisted),
      worker.died.then((error) => Promise.reject(error)),
    ]);
  } catch (error) {
    if (signal.aborted) return INTERRUPTED;
    console.error(error instanceof StackError ? `\n${error.message}` : error);
    return 1;
  }
}

/** @returns Wrangler's exit code; 0 when it was stopped on purpose */
async function runWrangler(variables: string, persisted: string): Promise<number> {
  const args = [
    "dev",
    "--ip",
    "127.0.0.1",
    "--port",
    String(options.port),
    "--env-file",
    variables,
    "--persist-to",
    persisted,
  ];
  const wrangler = spawn(process.execPath, [wranglerScript, ...args], {
    cwd: repository,
    env: { ...process.env, ...QUIET_WRANGLER },
    stdio: "inherit",
  });
  void aborted(signal).then(() => wrangler.kill("SIGTERM"));
  const [code] = await once(wrangler, "exit");
  return signal.aborted ? 0 : (code ?? 1);
}
