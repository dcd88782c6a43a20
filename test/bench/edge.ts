/**
 * Our edge, with keys, limits, a preset and the ledger on, beside gateways that its users could put in its place, before the same mock
 * upstream: `npm run bench:edge`. What is measured, and how, is in README.md here. The last line of stdout is the summary as JSON.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { endWithParent } from "../../scripts/leash.ts";
import { startGateways } from "./edge/gateways.ts";
import { measureAccounting } from "./edge/measure-accounting.ts";
import { measureDisconnects } from "./edge/measure-disconnects.ts";
import { measureRounds } from "./edge/measure-rounds.ts";
import { measureSustained } from "./edge/measure-streams.ts";
import { type EdgeOptions, readEdgeOptions } from "./edge/options.ts";
import { type EdgeMeasurements, reportGateway, summary } from "./edge/report.ts";
import { startUpstream } from "./edge/start-upstream.ts";
import { describeMachine } from "./engine/machine.ts";

/** After so many milliseconds no further round is begun. */
const TIME_LIMIT = 45 * 60_000;

endWithParent();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
const options = readEdgeOptions(process.argv.slice(2));
if (options !== null) await run(options);
process.exit(0);

async function run({ plan, gateways: names }: EdgeOptions): Promise<void> {
  const began = performance.now();
  const machine = describeMachine();
  console.log(`${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.system}`);
  await using started = new AsyncDisposableStack();
  const upstream = await startUpstream(started);
  const { attune, running, unavailable } = await startGateways(names, upstream, started);
  for (const { name, version, detail } of running) console.log(`${name} ${version}: ${detail}`);

  const { samples, failures } = await measureRounds(running, plan, () => performance.now() - began > TIME_LIMIT);
  const measured: EdgeMeasurements = {
    plan: plan.name,
    machine,
    seconds: 0,
    gateways: running.map(reportGateway),
    unavailable,
    failures,
    samples,
    sustained: {},
    disconnects: {},
    accounting: null,
  };
  const attempt = async (gateway: (typeof running)[number], lane: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      console.log(`${gateway.name}, ${lane}: ${reason}`);
      failures.push({ gateway: gateway.name, lane, reason });
    }
  };
  for (const gateway of running) {
    console.log(`Streams at a time, and clients that leave: ${gateway.name} …`);
    await attempt(gateway, "sustained streams", async () => {
      measured.sustained[gateway.name] = await measureSustained(gateway, plan.sustained);
    });
    await attempt(gateway, "disconnects", async () => {
      measured.disconnects[gateway.name] = await measureDisconnects(gateway, upstream, plan.disconnects);
    });
  }
  await attempt(attune, "accounting", async () => {
    measured.accounting = await measureAccounting(attune, upstream, plan.accounting);
  });
  measured.seconds = Math.round((performance.now() - began) / 1000);
  if (plan.name === "full" && running.length === names.length) await writeResults(measured);
  console.log(JSON.stringify(summary(measured)));
}

async function writeResults(measured: EdgeMeasurements): Promise<void> {
  const directory = new URL("./results/", import.meta.url);
  await mkdir(directory, { recursive: true });
  await writeFile(
    new URL("edge.json", directory),
    `${JSON.stringify({ summary: summary(measured), measured }, null, 1)}\n`,
  );
}
