import { aborted, INTERRUPTED, interruption } from "./interruption.ts";
import { endWithParent } from "./leash.ts";
import { StackError } from "./stack/stack-error.ts";
import { type Stack, startStack } from "./stack.ts";
import { fromUser, type StackOptions, stackCommand } from "./start/options.ts";
import { terminalProgress } from "./start/progress.ts";
import { removeReadyFile, writeReadyFile } from "./start/ready-file.ts";
import { playgroundLink, welcome } from "./start/welcome.ts";

const { readyFile, ...options } = stackCommand(
  "npm start --",
  "Starts Attune: model, inference worker, edge, database.",
)
  .option("--ready-file <path>", "write {url, key, playground, pid} as JSON there once everything is ready", fromUser)
  .parse()
  .opts<StackOptions & { readyFile?: string }>();

endWithParent();
const signal = interruption();
process.exit(await run());

/** @returns the exit code: 0 when a running stack was stopped on purpose */
async function run(): Promise<number> {
  if (readyFile !== undefined) removeReadyFile(readyFile);
  try {
    const stack = await startStack({ ...options, progress: terminalProgress, signal });
    return await serve(stack);
  } catch (error) {
    if (signal.aborted) return INTERRUPTED;
    console.error(error instanceof StackError ? `\n${error.message}` : error);
    return 1;
  } finally {
    if (readyFile !== undefined) removeReadyFile(readyFile);
  }
}

async function serve(stack: Stack): Promise<number> {
  const { url, key } = stack;
  if (readyFile !== undefined) {
    writeReadyFile(readyFile, { url, key, playground: playgroundLink(url, key), pid: process.pid });
  }
  console.log(welcome(url, key));

  const death = await Promise.race([aborted(signal), stack.died]);
  if (death === undefined) console.error("Stopping …");
  else console.error(`\n${death.message}`);
  await stack.stop();
  return death === undefined ? 0 : 1;
}
