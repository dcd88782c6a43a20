import { chmodSync, mkdirSync } from "node:fs";
import { type PullProgress, pullAdapter, pullModel } from "../../gpu-worker/model/pull.ts";
import { chosenAdapter, NO_ADAPTER } from "../../gpu-worker/models/shipped.ts";
import { ensureDecoder } from "../../gpu-worker/runtime/decoder-files.ts";
import { type InferenceWorker, startInferenceWorker } from "./inference-worker.ts";
import { DEFAULT_STATE_DIRECTORY, type StatePaths, statePaths } from "./paths.ts";
import { checkPortFree } from "./port.ts";
import { type Progress, type Step, silentProgress, untilAborted } from "./progress.ts";
import { loadSecrets, type Secrets } from "./secrets.ts";
import { StackError } from "./stack-error.ts";
import { lockState } from "./state-lock.ts";

export type BackendOptions = {
  /** Of the edge; 0 is any free port. */
  port: number;
  /** Database, secrets, logs and the built Worker. One stack at a time uses it. */
  stateDirectory?: string;
  /** A GGUF file, a model directory or `hf:owner/name`; without it the pinned model is obtained. */
  model?: string;
  /** A LoRA to merge into its weights: a directory, `hf:owner/name` or `none`; without it and a model, the one that ships. */
  adapter?: string;
  progress?: Progress;
  /** Gives up starting: what was started is stopped and the promise rejects. */
  signal?: AbortSignal;
};

/** All that an edge needs to be there before it. */
export type Backend = {
  paths: StatePaths;
  secrets: Secrets;
  worker: InferenceWorker;
  /** What wrangler.toml leaves to the environment. */
  bindings: { WORKER_URL: string; WORKER_SECRET: string; KEY_PEPPER: string; ADMIN_TOKEN: string };
  progress: Progress;
  /** A step of the start that `signal` interrupts. */
  step: Step;
  /** Tells who finds the state directory locked where the edge is. */
  publish(url: string): void;
};

/**
 * Takes the state directory, obtains the model, builds its decoder and starts the inference worker; does not wait until that is
 * ready.
 *
 * @param started takes over what must be stopped
 * @throws StackError when a step fails
 */
export async function startBackend(options: BackendOptions, started: AsyncDisposableStack): Promise<Backend> {
  const { progress = silentProgress, signal } = options;
  const step = untilAborted(progress, signal);
  const paths = statePaths(options.stateDirectory ?? DEFAULT_STATE_DIRECTORY);
  mkdirSync(paths.directory, { recursive: true });
  chmodSync(paths.directory, 0o700);
  const lock = lockState(paths);
  started.defer(lock.release);
  await checkPortFree(options.port);
  const secrets = loadSecrets(paths.secrets);

  const pulling = (report: (fraction: number) => void) => ({
    signal,
    onProgress: ({ received, total }: PullProgress) => report(received / total),
    onNotice: progress.notice,
  });
  const model = await step("Model", (report) => orStackError(pullModel({ path: options.model, ...pulling(report) })));
  const named = chosenAdapter(options);
  const adapter =
    named === undefined
      ? undefined
      : await step("Adapter", (report) => orStackError(pullAdapter(named, pulling(report))));
  await step("Decoder graph", (onProgress) => orStackError(ensureDecoder(model, { adapter, onProgress })));
  const worker = await startInferenceWorker({
    model,
    adapter: adapter ?? NO_ADAPTER,
    secret: secrets.workerSecret,
    logPath: paths.workerLog,
  });
  started.defer(worker.stop);

  const bindings = {
    WORKER_URL: worker.url,
    WORKER_SECRET: secrets.workerSecret,
    KEY_PEPPER: secrets.keyPepper,
    ADMIN_TOKEN: secrets.adminToken,
    ...collectorOf(process.env),
  };
  return { paths, secrets, worker, bindings, progress, step, publish: lock.publish };
}

/** Where the edge's spans go, if the environment says so. */
function collectorOf({ OTLP_ENDPOINT, OTLP_HEADERS }: NodeJS.ProcessEnv): Record<string, string> {
  return {
    ...(OTLP_ENDPOINT !== undefined && { OTLP_ENDPOINT }),
    ...(OTLP_HEADERS !== undefined && { OTLP_HEADERS }),
  };
}

/** What the inference worker's modules throw is written for the user too. */
async function orStackError<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw new StackError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}
