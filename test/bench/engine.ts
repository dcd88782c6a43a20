/**
 * Our engine beside those its users could pick instead, on this machine and the same weights: `npm run bench:engine`. What is
 * measured, and how, is in README.md here. The last line of stdout is the summary as JSON.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { pullModel } from "../../gpu-worker/model/pull.ts";
import { endWithParent } from "../../scripts/leash.ts";
import { ALL_ENGINES } from "./engine/engines.ts";
import { describeMachine } from "./engine/machine.ts";
import { measureCells } from "./engine/measure-cells.ts";
import { measureServers } from "./engine/measure-http.ts";
import { measurePerplexity } from "./engine/measure-perplexity.ts";
import { type Options, readOptions } from "./engine/options.ts";
import { Scratch, startEngines } from "./engine/peers.ts";
import { type Measurements, reportEngine, summary } from "./engine/report.ts";

/** After so many milliseconds no further round is begun. */
const TIME_LIMIT = 50 * 60_000;

endWithParent();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
const options = readOptions(process.argv.slice(2));
if (options !== null) await run(options);
process.exit(0);

async function run({ plan, threads: wished, engines: names }: Options): Promise<void> {
  const began = performance.now();
  const late = () => performance.now() - began > TIME_LIMIT;
  const machine = describeMachine();
  const threads = wished ?? machine.cores;
  console.log(`${machine.cpu}, ${machine.isa}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.system}`);
  const settings = {
    model: await pullModel(),
    threads,
    rows: Math.max(...plan.decodeRows),
    rowTokens: Math.max(...plan.prefillTokens, plan.decodePrompt) + 64,
  };
  const scratch = new Scratch();

  const { running, unavailable } = await startEngines(names, settings, scratch);
  for (const [name, { version, detail }] of running) console.log(`${name} ${version}: ${detail}`);
  const { samples: cells, failures } = await measureCells(running, plan, late);
  const perplexity = await measurePerplexity(running, settings, scratch.directory);
  const engines = [...running].map(([name, engine]) => reportEngine(name, engine));
  for (const engine of running.values()) await engine.stop();

  const servers = await measureServers(settings, plan.http, late);
  const measured: Measurements = {
    plan: plan.name,
    machine,
    threads,
    seconds: Math.round((performance.now() - began) / 1000),
    engines,
    unavailable: { ...unavailable, ...servers.unavailable },
    cells,
    failures,
    perplexity,
    http: servers.samples,
    servers: servers.reports,
  };
  if (plan.name === "full" && names.length === ALL_ENGINES.length) await writeResults(measured);
  console.log(JSON.stringify(summary(measured)));
}

async function writeResults(measured: Measurements): Promise<void> {
  const directory = new URL("./results/", import.meta.url);
  await mkdir(directory, { recursive: true });
  const file = new URL(`engine-${measured.machine.isa}.json`, directory);
  await writeFile(file, `${JSON.stringify({ summary: summary(measured), measured }, null, 1)}\n`);
}
