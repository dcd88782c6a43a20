import { readFile } from "node:fs/promises";
import type { Logger } from "pino";
import { type SteeringProfile, steeringProfileSchema } from "../../schema/attributes.ts";
import { EngineClient } from "../engine/client.ts";
import { readChatTemplate } from "../model/chat-template.ts";
import { readDecoderConfig } from "../model/config.ts";
import { openGguf } from "../model/gguf.ts";
import { readSamplingDefaults } from "../model/sampling-defaults.ts";
import { createTokenizer } from "../model/tokenizer.ts";
import { ensureDecoder } from "../runtime/decoder-files.ts";
import { Metrics } from "./metrics.ts";
import { WorkerServer } from "./worker-server.ts";

export type ServeOptions = {
  /** Path of a GGUF file. */
  gguf: string;
  /** What the model is called in requests. */
  id: string;
  /** Path of a steering profile, for a model that was trained on attributes. */
  profile?: string | undefined;
  host: string;
  /** 0 takes any free port. */
  port: number;
  secret: string;
  /** Physical cores; 0 takes all. */
  threads: number;
  /** Requests that decode together. */
  rows: number;
  /** Requests that may wait. */
  queue: number;
  /** Prompt tokens that may wait. */
  queueTokens: number;
  /** Cap of the key/value pool, in MiB. */
  kvMemory: number;
  /** Cap of the prefix cache, in MiB. */
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
 * @throws Error where the file is not a model that can be served, or the port is taken.
 */
export async function serve(options: ServeOptions, logger: Logger): Promise<RunningWorker> {
  const directory = await ensureDecoder(options.gguf);
  const gguf = await openGguf(options.gguf);
  const config = readDecoderConfig(gguf);
  const tokenizer = createTokenizer(gguf.metadata);
  const template = readChatTemplate(gguf.metadata);
  const sampling = readSamplingDefaults(gguf.metadata);
  await gguf.close();
  const profile = options.profile === undefined ? null : await readProfile(options.profile);

  const metrics = new Metrics(() => engine);
  const engine = new EngineClient(
    {
      model: directory,
      config,
      tokens: tokenizer.tokenByteTable(),
      eosIds: [...tokenizer.eosIds],
      threads: options.threads,
      options: {
        ...STEP_TOKENS,
        rows: options.rows,
        kvBytes: options.kvMemory * MEBIBYTE,
        prefixBytes: options.prefixMemory * MEBIBYTE,
      },
    },
    { queuedRequests: options.queue, queuedTokens: options.queueTokens },
    (report) => metrics.step(report),
  );
  const model = {
    id: options.id,
    created: Math.floor(Date.now() / 1000),
    context_length: config.contextLength,
    profile,
    sampling,
  };
  const host = { model, tokenizer, template, engine };
  const server = new WorkerServer({ host, metrics, secret: options.secret, logger });
  try {
    const url = await server.listen(options.port, options.host);
    return {
      url,
      ready: engine.ready,
      stopped: engine.stopped,
      close: async (drainSeconds) => {
        await server.drain(drainSeconds);
        await engine.close();
      },
    };
  } catch (error) {
    await engine.close();
    throw error;
  }
}

async function readProfile(path: string): Promise<SteeringProfile> {
  const parsed = steeringProfileSchema.safeParse(JSON.parse(await readFile(path, "utf8")));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Error(`${path} is not a steering profile: ${issue?.path.join(".")}: ${issue?.message}`);
}
