import { basename, resolve } from "node:path";
import type { Logger } from "pino";
import type { ServedModel } from "../../schema/api/models.ts";
import type { SteeringProfile } from "../../schema/attributes.ts";
import type { Calibration } from "../../schema/calibration.ts";
import { EngineClient } from "../engine/client.ts";
import type { InferenceEngine } from "../engine/inference-engine.ts";
import { RemoteEngine } from "../engine/remote-engine.ts";
import type { Precision } from "../graph/precision.ts";
import { openAdapter } from "../model/adapter.ts";
import { readCalibration } from "../model/calibration-file.ts";
import { openCheckpoint } from "../model/checkpoint.ts";
import { readProfile } from "../model/steering-profile.ts";
import { ensureDecoderMeanwhile } from "../runtime/decoder-build.ts";
import { ensureDecoder } from "../runtime/decoder-files.ts";
import { CPU } from "../runtime/device.ts";
import { type DeviceChoice, findDevice } from "../runtime/find-device.ts";
import { Adapters, type NamedAdapter } from "./adapters.ts";
import { LazyEngine } from "./lazy-engine.ts";
import { Metrics, type ModelMetrics } from "./metrics.ts";
import type { ModelHost } from "./model-host.ts";
import { ModelHosts } from "./model-hosts.ts";
import { openMeasurer } from "./open-measurer.ts";
import type { ResidentAdapter } from "./resident-adapter.ts";
import { directoryBytes, type WeightSet } from "./weight-set.ts";
import { WorkerServer } from "./worker-server.ts";

export type ServeOptions = {
  /** Path of a GGUF file, or of a directory as transformers saves it. */
  model: string;
  /** What the model is called in requests. */
  id: string;
  /**
   * Directory of a LoRA in PEFT's format. `id` is then the model with the adapter merged into its weights, and `id` with `-base` the
   * model without it, loaded when it is first asked for.
   */
  adapter?: string | undefined;
  /** Room for adapters that are loaded beside the plain model and share its batches, in MiB; none where it is left out. */
  adapterMemory?: number | undefined;
  /** Those to begin with. */
  adapters?: NamedAdapter[] | undefined;
  /** Path of a steering profile, for a model that was trained on attributes. Wins over the adapter's own. */
  profile?: string | undefined;
  /** Directory of an attribute prediction model; only what rules count is measured where it is left out. Loaded when it is first asked for. */
  apm?: string | undefined;
  /** How weights are held; int8 where nothing is said. */
  precision?: Precision | undefined;
  /** What to compute on; the processor where nothing is said. */
  device?: DeviceChoice | undefined;
  /** An OpenAI-compatible server that has the model; then only the tokenizer and the template of this one are used. */
  remote?: { url: string; model?: string | undefined; key?: string | undefined } | undefined;
  host: string;
  /** 0 takes any free port. */
  port: number;
  secret: string;
  /** Accepted beside it, while edge and workers move from one to another. */
  otherSecret?: string | undefined;
  /** Physical cores; 0 takes all. */
  threads: number;
  /** Requests that decode together. */
  rows: number;
  /** Requests that may wait. */
  queue: number;
  /** Prompt tokens that may wait. */
  queueTokens: number;
  /** Cap of each weight set's key/value pool, in MiB. */
  kvMemory: number;
  /** Cap of each weight set's prefix cache, in MiB. */
  prefixMemory: number;
};

const MEBIBYTE = 1024 * 1024;

/** New tokens in one step: few while somebody decodes (about 70 ms of SmolLM2-135M on two cores), more while nobody does. */
const STEP_TOKENS = { mixedTokens: 64, prefillTokens: 256 };

export type RunningWorker = {
  /** The origin it listens on. */
  url: string;
  /** Settles when the model is loaded; rejects where it cannot be. */
  ready: Promise<void>;
  /** Settles, with the reason, when the engine is gone. */
  stopped: Promise<string>;
  /** Takes nothing new, lets running generations finish for so many seconds, and stops. */
  close: (drainSeconds: number) => Promise<void>;
};

/**
 * Serves a model. Listens while the model is still loading, so that health and readiness can be asked from the start.
 *
 * @throws Error where the file is not a model that can be served, the adapter does not fit it, or the port is taken.
 */
export async function serve(options: ServeOptions, logger: Logger): Promise<RunningWorker> {
  const metrics = new Metrics();
  const measurer = await openMeasurer(options, logger);
  const hosts = await openHosts(options, metrics, logger);
  const { secret, otherSecret } = options;
  const server = new WorkerServer({ hosts, measurer, metrics, secret, otherSecret, logger });
  try {
    const url = await server.listen(options.port, options.host);
    const engine = hosts.main.engine.load();
    const ready = Promise.all([engine, ...(options.adapters ?? []).map((named) => hosts.adapters?.add(named))]).then(
      () => {},
    );
    // Nobody need wait for it: `stopped` tells too.
    ready.catch(() => {});
    return {
      url,
      ready,
      stopped: engine.then(({ stopped }) => stopped, String),
      close: async (drainSeconds) => {
        await server.drain(drainSeconds);
        await Promise.all([hosts.close(), measurer.close()]);
      },
    };
  } catch (error) {
    await hosts.close();
    throw error;
  }
}

/** The models to serve: one, or with an adapter two, which have all but the weights in common. */
async function openHosts(options: ServeOptions, metrics: Metrics, logger: Logger): Promise<ModelHosts> {
  const { adapter, id, precision = "int8", remote } = options;
  if (remote !== undefined && adapter !== undefined) {
    throw new Error(
      "An adapter cannot be merged into a remote model: give it to the server, and its profile with --profile.",
    );
  }
  const adapterMemory = bankMemory(options);
  const profile = await profileFor(options);
  const calibration = await calibrationFor(options, (text) => logger.warn(text));
  const { config, tokenizer, template, sampling } = await readAllButWeights(options.model);
  const created = Math.floor(Date.now() / 1000);

  type Start = (signal: AbortSignal, counted: ModelMetrics, weights: WeightSet) => Promise<InferenceEngine>;
  type Served = Pick<ServedModel, "id" | "profile" | "calibration"> & { adapter: string | null; start: Start };
  const host = (set: Served): ModelHost => {
    const weights: WeightSet = { adapter: set.adapter, bytes: null };
    const counted = metrics.of(set.id, { engine: () => engine.current?.inspect() ?? null, weights });
    const engine = new LazyEngine({
      model: set.id,
      start: (signal) => set.start(signal, counted, weights),
      waiting: options.rows + options.queue,
      onFailure: (error) => logger.error({ err: error, model: set.id }, "model not loaded"),
    });
    const { id, profile, calibration } = set;
    const model = { id, created, context_length: config.contextLength, profile, calibration, sampling };
    return { model, tokenizer, template, weights, engine, metrics: counted };
  };

  // A remote engine computes elsewhere.
  const device = remote === undefined ? await findDevice(options.device ?? "cpu", (text) => logger.warn(text)) : CPU;
  if (device.provider !== "cpu") logger.info({ device }, "graphics processor found");
  const limits = { queuedRequests: options.queue, queuedTokens: options.queueTokens };
  const startHere =
    (model: string, decoder: (signal: AbortSignal) => Promise<string>, memory?: SharedArrayBuffer): Start =>
    async (signal, counted, weights) => {
      const directory = await decoder(signal);
      const withBank = { precision, device, adapterBank: true };
      const banked = memory && { model: await ensureDecoderMeanwhile(options.model, signal, withBank), memory };
      weights.bytes = await directoryBytes(directory);
      return new EngineClient(
        {
          model: directory,
          config,
          tokens: tokenizer.tokenByteTable(),
          eosIds: [...tokenizer.eosIds],
          threads: options.threads,
          device,
          adapters: banked,
          options: {
            ...STEP_TOKENS,
            rows: options.rows,
            kvBytes: options.kvMemory * MEBIBYTE,
            prefixBytes: options.prefixMemory * MEBIBYTE,
          },
        },
        limits,
        counted.step,
        (reason) => {
          counted.restarts.inc();
          logger.error({ reason, model }, "engine crashed, starting it again");
        },
      );
    };
  if (remote !== undefined) {
    const onLost = (reason: string) => logger.warn({ reason, model: id }, "inference server lost, waiting for it");
    return new ModelHosts(
      host({
        id,
        profile,
        calibration: null,
        adapter: null,
        start: async () => new RemoteEngine({ ...remote, onLost }, limits),
      }),
      [],
    );
  }

  const withAdapters = (base: ModelHost, ids: string[]): Adapters | null => {
    if (adapterMemory === undefined) return null;
    const host = (resident: ResidentAdapter, steering: Pick<ServedModel, "profile" | "calibration">): ModelHost => ({
      ...base,
      model: { ...base.model, ...steering, id: resident.name, created: Math.floor(Date.now() / 1000) },
      metrics: metrics.of(resident.name, null),
      adapter: resident,
    });
    const shared = {
      model: options.model,
      config,
      precision,
      provider: device.provider,
      memory: adapterMemory,
      models: ids,
      host,
      logger,
    };
    const adapters = new Adapters(shared);
    metrics.watchAdapters(() => adapters.list(), adapters.capBytes);
    return adapters;
  };
  if (adapter === undefined) {
    const decoder = await ensureDecoder(options.model, { precision, device });
    const start = startHere(id, async () => decoder, adapterMemory);
    const main = host({ id, profile, calibration: null, adapter: null, start });
    return new ModelHosts(main, [], withAdapters(main, [id]));
  }
  const decoder = await ensureDecoder(options.model, { adapter, precision, device });
  const merged = basename(resolve(adapter));
  const main = host({ id, profile, calibration, adapter: merged, start: startHere(id, async () => decoder) });
  const plain = `${id}-base`;
  const build = (signal: AbortSignal) => ensureDecoderMeanwhile(options.model, signal, { precision, device });
  const start = startHere(plain, build, adapterMemory);
  const base = host({ id: plain, profile: null, calibration: null, adapter: null, start });
  return new ModelHosts(main, [base], withAdapters(base, [id, plain]));
}

/** Memory for a bank of adapters, where one is asked for. */
function bankMemory({ adapterMemory = 0, adapters = [], remote }: ServeOptions): SharedArrayBuffer | undefined {
  if (adapterMemory === 0) {
    if (adapters.length === 0) return undefined;
    throw new Error("--adapters are loaded beside the model: say with --adapter-memory how much room they may take.");
  }
  if (remote === undefined) return new SharedArrayBuffer(adapterMemory * MEBIBYTE);
  throw new Error("A remote model's adapters are its server's: leave --adapter-memory out.");
}

async function readAllButWeights(path: string) {
  const checkpoint = await openCheckpoint(path);
  try {
    return {
      config: checkpoint.config,
      tokenizer: await checkpoint.readTokenizer(),
      template: await checkpoint.readTemplate(),
      sampling: await checkpoint.readSampling(),
    };
  } finally {
    await checkpoint.close();
  }
}

async function profileFor({ profile, adapter }: ServeOptions): Promise<SteeringProfile | null> {
  if (profile !== undefined) return readProfile(profile);
  if (adapter === undefined) return null;
  const opened = await openAdapter(adapter);
  await opened.close();
  return opened.profile;
}

/** A calibration holds for the adapter's own profile, which it was measured with. */
async function calibrationFor(
  { model, profile, adapter }: ServeOptions,
  onNotice: (text: string) => void,
): Promise<Calibration | null> {
  if (adapter === undefined || profile !== undefined) return null;
  return readCalibration(adapter, model, onNotice);
}
