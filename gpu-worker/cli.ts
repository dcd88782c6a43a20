import { resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { pino } from "pino";
import type { Precision } from "./graph/precision.ts";
import { byteText } from "./model/byte-text.ts";
import { isHubId } from "./model/hub/hub-id.ts";
import { type PullOptions, type PullProgress, pullAdapter, pullAttributeModel, pullModel } from "./model/pull.ts";
import { chosenAdapter, NO_ADAPTER } from "./models/shipped.ts";
import { ensureDecoder } from "./runtime/decoder-files.ts";
import { DEVICE_CHOICES } from "./runtime/find-device.ts";
import { ADAPTERS_PATH, adapterPath } from "./server/adapter-admin.ts";
import type { NamedAdapter } from "./server/adapters.ts";
import { fetchDebugState } from "./server/debug-state.ts";
import { type ServeOptions, serve } from "./server/serve.ts";
import { signedCall } from "./server/signed-call.ts";
import { annotateCommand } from "./steerlm/annotate/annotate-command.ts";
import { apmCommand } from "./steerlm/apm/apm-command.ts";
import { benchmarkCommand } from "./steerlm/benchmarks/benchmark-command.ts";
import { bootstrapCommand } from "./steerlm/bootstrap/bootstrap-command.ts";
import { dataCommand } from "./steerlm/data-command.ts";
import { evaluateCommand } from "./steerlm/evaluate/command.ts";
import { addAdapterFileCommands } from "./steerlm/interop/adapter-files.ts";
import { sftCommand } from "./steerlm/sft/sft-command.ts";

const SECRET_VARIABLE = "ATTUNE_WORKER_SECRET";
const OTHER_SECRET_VARIABLE = "ATTUNE_WORKER_SECRET_OTHER";

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError("Must be a whole number, 0 or more.");
  return value;
}

const number = (flags: string, description: string, variable: string, fallback: number) =>
  new Option(flags, description).env(variable).default(fallback).argParser(wholeNumber);

const modelOption = new Option(
  "--model <path or id>",
  "GGUF file, directory with config.json, safetensors and tokenizer.json, or hf:owner/name[@revision][:file.gguf] from the Hugging " +
    "Face hub; without it, SmolLM2-135M-Instruct is fetched",
).env("ATTUNE_MODEL");

const precisionOption = new Option(
  "--precision <kind>",
  "how weights are held: fp32 takes four times the memory of int8",
)
  .choices(["int8", "fp32"])
  .env("ATTUNE_PRECISION")
  .default("int8");

const deviceOption = new Option(
  "--device <kind>",
  "what to compute on: the processor, a graphics processor through WebGPU, or that where there is one (auto)",
)
  .choices(DEVICE_CHOICES)
  .env("ATTUNE_DEVICE")
  .default("cpu");

const adapterOption = new Option(
  "--adapter <path or id>",
  "LoRA in PEFT's format to merge into the weights: a directory, hf:owner/name[@revision] from the Hugging Face hub, or none; without it, " +
    "where no model is named either, the one that ships",
).env("ATTUNE_ADAPTER");

/** `name=path`, several with commas between them. */
function namedAdapters(text: string, earlier: NamedAdapter[] = []): NamedAdapter[] {
  const named = text.split(",").map((one): NamedAdapter => {
    const [, name = "", path = ""] = /^([^=]+)=(.+)$/.exec(one.trim()) ?? [];
    if (name === "") throw new InvalidArgumentError("Must be name=path, or several with commas between them.");
    return { name, path };
  });
  return [...earlier, ...named];
}

/** Says every tenth of a download. */
function tenths(say: (text: string) => void): (progress: PullProgress) => void {
  let said = 0;
  return ({ source, received, total }) => {
    const tenth = Math.floor((received / total) * 10);
    if (tenth <= said || received === total) return;
    said = tenth;
    say(`${source}: ${tenth * 10} % of ${byteText(total)}`);
  };
}

/** Obtains what the user named. A signal ends it in an orderly way; after another one the process ends at once. */
async function pulled({ model, apm, ...named }: Named, say: (text: string) => void) {
  const adapter = chosenAdapter({ model, ...named });
  const interrupted = new AbortController();
  const stop = () =>
    interrupted.abort(new Error("Interrupted. What was fetched is kept, the next start goes on with it."));
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  const options = (): PullOptions => ({ signal: interrupted.signal, onProgress: tenths(say), onNotice: say });
  try {
    return {
      model: await pullModel({ path: model, ...options() }),
      adapter: adapter === undefined ? undefined : await pullAdapter(adapter, options()),
      apm: apm === undefined ? undefined : await pullAttributeModel(apm, options()),
    };
  } finally {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
}

type Named = { model?: string | undefined; adapter?: string | undefined; apm?: string | undefined };

const program = new Command("attune").description("The Attune inference worker.");

program
  .command("pull")
  .description("fetch the model, and print its path")
  .addOption(modelOption)
  .action(async (named: Named) => console.log((await pulled(named, console.error)).model));

program
  .command("build")
  .description("build the decoder of the model, and print its directory")
  .addOption(modelOption)
  .addOption(adapterOption)
  .addOption(precisionOption)
  .action(async ({ precision, ...named }: Named & { precision: Precision }) => {
    const { model, adapter } = await pulled(named, console.error);
    console.log(await ensureDecoder(model, { adapter, precision }));
  });

type ServeFlags = Omit<ServeOptions, "model" | "secret" | "otherSecret" | "remote"> & {
  model?: string;
  remote?: string;
  remoteModel?: string;
  remoteKeyEnv?: string;
  drain: number;
};

program
  .command("serve")
  .description(`serve the model to an edge that shares the secret in ${SECRET_VARIABLE}`)
  .addOption(modelOption)
  .addOption(new Option("--id <name>", "what requests call the model").env("ATTUNE_MODEL_ID").default("smollm2-135m"))
  .addOption(adapterOption)
  .addOption(
    number("--adapter-memory <MiB>", "memory for LoRAs beside the plain model, 0 for none", "ATTUNE_ADAPTER_MEMORY", 0),
  )
  .addOption(
    new Option("--adapters <name=path...>", "LoRAs to load there; more can be added while it runs")
      .env("ATTUNE_ADAPTERS")
      .argParser(namedAdapters),
  )
  .addOption(new Option("--profile <file>", "steering profile of a model trained on attributes").env("ATTUNE_PROFILE"))
  .addOption(
    new Option(
      "--apm <path or id>",
      "attribute prediction model that answers are measured by, loaded when first asked for: a directory, or hf:owner/name[@revision]",
    ).env("ATTUNE_APM"),
  )
  .addOption(precisionOption)
  .addOption(deviceOption)
  .addOption(
    new Option("--remote <url>", "OpenAI-compatible server that has the model; nothing is computed here").env(
      "ATTUNE_REMOTE",
    ),
  )
  .addOption(new Option("--remote-model <name>", "what that server calls the model or LoRA").env("ATTUNE_REMOTE_MODEL"))
  .addOption(
    new Option("--remote-key-env <variable>", "variable that holds that server's key").env("ATTUNE_REMOTE_KEY_ENV"),
  )
  .addOption(new Option("--host <address>", "address to listen on").env("ATTUNE_HOST").default("127.0.0.1"))
  .addOption(number("--port <number>", "port to listen on, 0 for any free one", "ATTUNE_PORT", 8700))
  .addOption(number("--threads <number>", "physical cores to compute on, 0 for all", "ATTUNE_THREADS", 0))
  .addOption(number("--rows <number>", "requests that decode together", "ATTUNE_ROWS", 16))
  .addOption(number("--queue <number>", "requests that may wait", "ATTUNE_QUEUE", 64))
  .addOption(number("--queue-tokens <number>", "prompt tokens that may wait", "ATTUNE_QUEUE_TOKENS", 65_536))
  .addOption(number("--kv-memory <MiB>", "memory for keys and values of running requests", "ATTUNE_KV_MEMORY", 2048))
  .addOption(number("--prefix-memory <MiB>", "memory for prompts seen before", "ATTUNE_PREFIX_MEMORY", 512))
  .addOption(number("--drain <seconds>", "how long a stop lets running requests finish", "ATTUNE_DRAIN", 30))
  .action(runServer);

function remoteOf({ remote, remoteModel, remoteKeyEnv }: ServeFlags): ServeOptions["remote"] {
  if (remote === undefined) {
    if (remoteModel === undefined && remoteKeyEnv === undefined) return undefined;
    throw new Error("--remote-model and --remote-key-env say how to use a server: name it with --remote.");
  }
  if (!/^https?:\/\//.test(remote) || !URL.canParse(remote)) {
    throw new Error(`--remote ${remote} is not a URL such as http://127.0.0.1:8000.`);
  }
  if (remoteKeyEnv === undefined) return { url: remote, model: remoteModel };
  const key = process.env[remoteKeyEnv] ?? "";
  if (key === "") throw new Error(`${remoteKeyEnv}, which --remote-key-env names, is not set.`);
  return { url: remote, model: remoteModel, key };
}

function readSecret(): string {
  const secret = process.env[SECRET_VARIABLE] ?? "";
  if (secret.length >= 16) return secret;
  throw new Error(`Set ${SECRET_VARIABLE} to a secret of at least 16 characters, which the edge has as WORKER_SECRET.`);
}

/** The one that is accepted beside it, while edge and workers move from one to another. */
function readOtherSecret(): string | undefined {
  const secret = process.env[OTHER_SECRET_VARIABLE] ?? "";
  if (secret === "") return undefined;
  if (secret.length >= 16) return secret;
  throw new Error(
    `${OTHER_SECRET_VARIABLE} is shorter than 16 characters. Leave it out where no other secret is in use.`,
  );
}

async function runServer(flags: ServeFlags): Promise<void> {
  const logger = pino();
  const secret = readSecret();
  const otherSecret = readOtherSecret();
  const remote = remoteOf(flags);
  // Another server's weights are not those that the shipped adapter belongs to.
  const chosen = remote === undefined ? flags : { ...flags, adapter: flags.adapter ?? NO_ADAPTER };
  const named = await pulled(chosen, (text) => logger.info(text));
  const worker = await serve({ ...flags, ...named, remote, secret, otherSecret }, logger);
  process.send?.({ type: "listening", url: worker.url });
  logger.info({ url: worker.url, model: flags.id }, "listening");

  let stopping = false;
  const stop = async () => {
    if (stopping) process.exit(1);
    stopping = true;
    await worker.close(flags.drain);
    process.exit(0);
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  await worker.ready.catch((error: unknown) => {
    if (!stopping) throw error;
  });
  if (stopping) return;
  logger.info("ready");
  // Without its engine the worker is of no use; whoever supervises the process starts a new one.
  const reason = await worker.stopped;
  if (stopping) return;
  logger.fatal({ reason }, "engine lost");
  process.exitCode = 1;
  await worker.close(1);
  process.exit();
}

const urlOption = new Option("--url <origin>", "where it listens").default("http://127.0.0.1:8700");

type Url = { url: string };

program
  .command("state")
  .description(`print what a worker that has the secret in ${SECRET_VARIABLE} is doing`)
  .addOption(urlOption)
  .action(async ({ url }: Url) => printJson(await fetchDebugState(url, readSecret())));

const adapterCommand = program
  .command("adapter")
  .description(`LoRAs: their files, and those beside the model of a worker that has the secret in ${SECRET_VARIABLE}`);

adapterCommand
  .command("list")
  .description("print which there are")
  .addOption(urlOption)
  .action(async ({ url }: Url) => printJson(await signedCall(workerAt(url), "GET", ADAPTERS_PATH)));

adapterCommand
  .command("add")
  .description("load one while the worker runs, or put new content under its name")
  .argument("<name>", "what requests call it")
  .argument("<path or id>", "a directory that the worker can read, or hf:owner/name[@revision]")
  .addOption(new Option("--profile <file>", "steering profile, in place of the LoRA's own"))
  .addOption(urlOption)
  .action(async (name: string, path: string, { url, profile }: Url & { profile?: string }) => {
    const wanted: NamedAdapter = { name, path: pathFor(path), profile: profile && resolve(profile) };
    printJson(await signedCall(workerAt(url), "POST", ADAPTERS_PATH, wanted));
  });

adapterCommand
  .command("remove")
  .description("take one away, once the requests that have it have ended")
  .argument("<name>", "what requests call it")
  .addOption(urlOption)
  .action(async (name: string, { url }: Url) =>
    printJson(await signedCall(workerAt(url), "DELETE", adapterPath(name))),
  );

addAdapterFileCommands(adapterCommand);

const workerAt = (origin: string) => ({ origin, secret: readSecret() });
const printJson = (value: unknown) => console.log(JSON.stringify(value, null, 2));
/** The worker may have been started elsewhere. */
const pathFor = (path: string) => (isHubId(path) ? path : resolve(path));

program.addCommand(dataCommand());
program.addCommand(benchmarkCommand());
program.addCommand(apmCommand());
program.addCommand(annotateCommand());
program.addCommand(sftCommand());
program.addCommand(bootstrapCommand());
program.addCommand(evaluateCommand());

program.parseAsync().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
});
