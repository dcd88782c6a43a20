import type { EngineSettings } from "./children/serve-cells.ts";
import { startLlamaServer } from "./http-llama.ts";
import { type ChatTarget, closedLoop, type LoadSample } from "./http-load.ts";
import { startWorker } from "./http-worker.ts";
import { mixedContents } from "./http-workload.ts";
import { installPythonPeer } from "./install.ts";
import { benchmarkText } from "./measure-perplexity.ts";
import type { Plan } from "./options.ts";
import { reportServer, type ServerReport } from "./report.ts";
import { rounded } from "./statistics.ts";

/** Samples of both servers, by round. */
export type HttpSamples = { attune: LoadSample[]; llama: LoadSample[] };

export type ServerMeasurements = {
  samples: HttpSamples | null;
  reports: ServerReport[];
  /** Why there are no samples, by what is to blame. */
  unavailable: Record<string, string>;
};

/** Tokens of one slot of llama.cpp's server: more than any request of the workload needs. */
const SLOT_TOKENS = 1024;

/** Starts both servers, measures them, and ends them. @throws Error where ours does not start */
export async function measureServers(
  { model, threads }: EngineSettings,
  plan: Plan["http"],
  late: () => boolean,
): Promise<ServerMeasurements> {
  await using attune = await startWorker(model, threads);
  let llama: ChatTarget;
  try {
    const python = await installPythonPeer("xllamacpp");
    llama = await startLlamaServer(python, { model, threads, rows: plan.clients, rowTokens: SLOT_TOKENS });
  } catch (error) {
    return without("llama.cpp server", error);
  }
  await using _ = llama;
  try {
    const samples = await measureHttp({ attune, llama }, plan, await benchmarkText(), late);
    const reports = [reportServer("attune", attune), reportServer("llama.cpp server", llama)];
    return { samples, reports, unavailable: {} };
  } catch (error) {
    return without("http", error);
  }
}

function without(culprit: string, error: unknown): ServerMeasurements {
  const reason = error instanceof Error ? error.message : String(error);
  console.log(`${culprit} cannot be measured: ${reason}`);
  return { samples: null, reports: [], unavailable: { [culprit]: reason } };
}

/**
 * The same requests to one server and then to the other, the first one alternating; while one works, the other idles.
 *
 * @param late whether time is up; what is left is then not measured
 */
async function measureHttp(
  targets: { attune: ChatTarget; llama: ChatTarget },
  plan: Plan["http"],
  text: string,
  late: () => boolean,
): Promise<HttpSamples> {
  const samples: HttpSamples = { attune: [], llama: [] };
  const names = ["attune", "llama"] as const;
  for (const name of names) await closedLoop(targets[name], mixedContents(text, 0, plan.clients), plan.clients, 2);
  for (let round = 1; round <= plan.pairs && !late(); round++) {
    const contents = mixedContents(text, round, plan.clients * plan.requestsPerClient);
    for (const name of round % 2 === 0 ? names.toReversed() : names) {
      samples[name].push(await closedLoop(targets[name], contents, plan.clients, plan.maxTokens));
    }
  }
  for (const name of names) {
    const rates = samples[name].map(({ tokensPerSecond }) => rounded(tokensPerSecond));
    console.log(`http, ${plan.clients} clients: ${name} ${rates.join(" ")} tok/s`);
  }
  return samples;
}
