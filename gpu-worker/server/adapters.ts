import { createHash } from "node:crypto";
import type { Logger } from "pino";
import type { ServedModel } from "../../schema/api/models.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import { GROUP_RANKS } from "../graph/adapter-bank.ts";
import type { DecoderConfig } from "../graph/decoder.ts";
import type { Precision } from "../graph/precision.ts";
import { openAdapter } from "../model/adapter.ts";
import { byteText } from "../model/byte-text.ts";
import { readCalibration } from "../model/calibration-file.ts";
import { checkAdapterFits } from "../model/merge.ts";
import { pullAdapter } from "../model/pull.ts";
import { readProfile } from "../model/steering-profile.ts";
import { bankGroupBytes, freeRange } from "../runtime/adapter-bank.ts";
import { loadAdapter } from "../runtime/adapter-load.ts";
import type { Provider } from "../runtime/onnxruntime/library.ts";
import type { ModelHost } from "./model-host.ts";
import { type AdapterState, ResidentAdapter } from "./resident-adapter.ts";

/** An adapter as somebody asks for it: what requests call it, and a directory or `hf:owner/name[@revision]`. */
export type NamedAdapter = { name: string; path: string; profile?: string | undefined };

/** A name that a request can give as its model: `@` and `:` belong to presets. */
const ADAPTER_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

type AdaptersOptions = {
  /** Path and shape of the model that they adapt. */
  model: string;
  config: DecoderConfig;
  precision: Precision;
  /** What computes with them. */
  provider: Provider;
  /** Of the bank. */
  memory: SharedArrayBuffer;
  /** Names that are taken. */
  models: readonly string[];
  /** The model that an adapter makes of its base. */
  host: (adapter: ResidentAdapter, steering: AdapterSteering) => ModelHost;
  logger: Logger;
};

/** How an adapter is steered. */
type AdapterSteering = Pick<ServedModel, "profile" | "calibration">;

/** What was read of an adapter before its matrices. */
type Opened = { directory: string; fileHash: string; content: string; rank: number; steering: AdapterSteering };

/** The adapters that share the base model's weights and its batches. They come and go while others are computed with. */
export class Adapters {
  readonly capBytes: number;
  readonly #options: AdaptersOptions;
  readonly #groupBytes: number;
  /** Groups of ranks that there is room for. */
  readonly #groups: number;
  /** All that have a place. */
  readonly #resident = new Set<ResidentAdapter>();
  /** Those that new requests get, by name. */
  readonly #current = new Map<string, ResidentAdapter>();
  readonly #closing = new AbortController();

  /** @throws Error where not even the smallest adapter would fit */
  constructor(options: AdaptersOptions) {
    this.#options = options;
    this.capBytes = options.memory.byteLength;
    this.#groupBytes = bankGroupBytes(options.config);
    this.#groups = Math.floor(this.capBytes / this.#groupBytes);
    if (this.#groups > 0) return;
    const least = Math.ceil(this.#groupBytes / 2 ** 20);
    throw new Error(`--adapter-memory: this model's adapters take ${least} MiB for every ${GROUP_RANKS} ranks.`);
  }

  get models(): ServedModel[] {
    return [...this.#current.values()].map(({ host }) => host.model);
  }

  find(name: string): ModelHost | undefined {
    return this.#current.get(name)?.host;
  }

  list(): AdapterState[] {
    return [...this.#resident].map(({ state }) => state);
  }

  /**
   * Loads an adapter, and settles when it can be asked for. Requests that name it meanwhile wait for it; under a name that is there
   * already they get the old content until then. The same content under the same name is left as it is.
   *
   * @throws AttuneError `invalid_request` where it is not an adapter of this model, `conflict` where there is no room or the name is taken
   */
  async add(wanted: NamedAdapter): Promise<AdapterState> {
    const { name } = wanted;
    if (!ADAPTER_NAME.test(name)) {
      const message = `name: must match ${ADAPTER_NAME.source}, as requests give it as their model.`;
      throw new AttuneError("invalid_request", message, { param: "name" });
    }
    if (this.#options.models.includes(name)) {
      throw new AttuneError("conflict", `This worker serves a model called ${name}.`, { param: "name" });
    }
    const opened = await this.#open(wanted).catch((error: unknown) => {
      const message = error instanceof Error ? error.message : String(error);
      throw new AttuneError("invalid_request", message, { param: "path", cause: error });
    });
    const adapter = this.#known(name, opened.content) ?? this.#begin(name, opened);
    try {
      await adapter.ready;
    } catch (error) {
      this.#withdraw(adapter);
      const reason = error instanceof Error ? error.message : String(error);
      throw new AttuneError("invalid_request", `${name} could not be loaded: ${reason}`, {
        param: "path",
        cause: error,
      });
    }
    return this.#serve(adapter);
  }

  /**
   * Takes an adapter away: no request gets it any more, those that have it finish.
   *
   * @throws AttuneError `not_found`
   */
  remove(name: string): AdapterState {
    const named = [...this.#resident].filter((adapter) => adapter.name === name && adapter.state.state !== "draining");
    const state = (this.#current.get(name) ?? named[0])?.state;
    if (state === undefined) throw new AttuneError("not_found", `There is no adapter ${name} here.`);
    for (const adapter of named) this.#withdraw(adapter);
    return { ...state, state: "draining" };
  }

  /** Gives up what is being loaded. */
  async close(): Promise<void> {
    this.#closing.abort(new Error("The worker is stopping."));
    await Promise.allSettled([...this.#resident].map(({ ready }) => ready));
  }

  async #open({ path, profile }: NamedAdapter): Promise<Opened> {
    const { config, logger } = this.#options;
    const onNotice = (text: string) => logger.info(text);
    const directory = await pullAdapter(path, { signal: this.#closing.signal, onNotice });
    const own = profile === undefined ? null : await readProfile(profile);
    const adapter = await openAdapter(directory);
    try {
      checkAdapterFits(config, adapter);
      const fileHash = adapter.contentHash;
      // A calibration holds for the adapter's own profile, which it was measured with.
      const calibration = own === null ? await readCalibration(directory, this.#options.model, onNotice) : null;
      const extras = [own, calibration].filter((extra) => extra !== null).map((extra) => JSON.stringify(extra));
      const content = extras.length === 0 ? fileHash : hashOf(fileHash, ...extras);
      const rank = Math.max(...[...adapter.updates.values()].map((update) => update.rank));
      return { directory, fileHash, content, rank, steering: { profile: own ?? adapter.profile, calibration } };
    } finally {
      await adapter.close();
    }
  }

  #known(name: string, content: string): ResidentAdapter | undefined {
    return [...this.#resident].find(
      ({ state }) => state.name === name && state.content === content && state.state !== "draining",
    );
  }

  #begin(name: string, { directory, fileHash, content, rank, steering }: Opened): ResidentAdapter {
    const { model, precision, provider, memory } = this.#options;
    const range = this.#place(name, Math.ceil(rank / GROUP_RANKS));
    const setup = { model, precision, provider, directory, contentHash: fileHash, memory, range };
    const adapter = new ResidentAdapter({
      name,
      rank,
      bytes: range.groups * this.#groupBytes,
      banked: { key: content, ...range },
      host: (resident) => this.#options.host(resident, steering),
      loaded: loadAdapter(setup, this.#closing.signal),
      onFree: () => this.#resident.delete(adapter),
    });
    this.#resident.add(adapter);
    if (!this.#current.has(name)) this.#current.set(name, adapter);
    return adapter;
  }

  #place(name: string, groups: number) {
    const taken = [...this.#resident].map(({ banked }) => banked);
    const range = freeRange(this.#groups, taken, groups);
    if (range !== null) return range;
    const used = taken.reduce((total, place) => total + place.groups, 0) * this.#groupBytes;
    const message =
      `${name} takes ${byteText(groups * this.#groupBytes)}, in one piece; of ${byteText(this.capBytes)} for adapters, ` +
      `${byteText(used)} are taken. Remove an adapter, or start the worker with more --adapter-memory.`;
    throw new AttuneError("conflict", message);
  }

  /** Lets requests have it, unless it was removed while it was loaded. */
  #serve(adapter: ResidentAdapter): AdapterState {
    const { state } = adapter;
    if (state.state === "draining") {
      throw new AttuneError("conflict", `${adapter.name} was removed, or replaced, while it was loaded.`);
    }
    const previous = this.#current.get(adapter.name);
    this.#current.set(adapter.name, adapter);
    if (previous !== undefined && previous !== adapter) previous.retire();
    return state;
  }

  #withdraw(adapter: ResidentAdapter): void {
    if (this.#current.get(adapter.name) === adapter) this.#current.delete(adapter.name);
    adapter.retire();
  }
}

const hashOf = (...parts: string[]): string => createHash("sha256").update(JSON.stringify(parts)).digest("hex");
