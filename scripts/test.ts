import { resolve } from "node:path";
import { createVitest, parseCLI, type Vitest } from "vitest/node";
import { endWithParent } from "./leash.ts";
import { StackError } from "./stack/stack-error.ts";
import { terminalProgress } from "./start/progress.ts";
import { type Counts, countTests } from "./test/counts.ts";
import { setUp } from "./test/set-up.ts";

endWithParent();
const args = process.argv.slice(2);
// Vitest would not know it. Only test/remote has something to record.
if (args.includes("--record")) process.env.ATTUNE_TEST_RECORD = "1";
// Nor this. Only test/interop has an adapter to name.
const named = args.find((arg) => arg.startsWith("--adapter="));
if (named !== undefined) {
  // npm runs this at the root of the repository, wherever the user is.
  process.env.ATTUNE_TEST_ADAPTER = resolve(process.env.INIT_CWD ?? "", named.slice("--adapter=".length));
}
const ours = ["--record", named];
const { filter, options } = parseCLI(["vitest", "run", ...args.filter((arg) => !ours.includes(arg))]);
const vitest = await createVitest({ ...options, watch: false });
const { passed, failed } = await runTests(vitest, filter);
await vitest.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);

/** Sets up what the chosen test files need, then runs them. */
async function runTests(vitest: Vitest, filter: string[]): Promise<Counts> {
  try {
    const files = await vitest.globTestSpecifications(filter);
    if (files.length === 0) throw new StackError(`No test file matches ${filter.join(" ")}.`);
    await setUp(new Set(files.map((file) => file.project.name)), terminalProgress);
    return countTests(await vitest.start(filter));
  } catch (error) {
    console.error(error instanceof StackError ? error.message : error);
    return { passed: 0, failed: 1 };
  }
}
