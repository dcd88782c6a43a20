import { byteText } from "../byte-text.ts";
import type { PinnedFile } from "../pinned-file.ts";
import { INDEX_FILE, WEIGHTS_FILE } from "../shards.ts";
import { type HubId, hubIdText } from "./hub-id.ts";

/** Which files of a repository are fetched. */
export type Choice = {
  /** What is then opened, below the snapshot's directory; empty for the directory itself. */
  opens: string;
  /** Fetched first: small, and they tell whether the weights are worth fetching. */
  settings: PinnedFile[];
  /** `null` where an index among the settings names them. */
  weights: PinnedFile[] | null;
};

const MODEL_SETTINGS = ["config.json", "tokenizer.json", "tokenizer_config.json"];
const MODEL_EXTRAS = ["generation_config.json", "chat_template.jinja", "profile.json"];
const ADAPTER_CONFIG = "adapter_config.json";
const ADAPTER_WEIGHTS = "adapter_model.safetensors";
/** Of a steerable one, and of an attribute prediction model. */
const ADAPTER_EXTRAS = ["profile.json", "calibration.json", "apm.json", "head.safetensors"];

/** Parts of one model in several files, and projectors of images, which no text model is. */
const isPartOfGguf = (file: string) => /-\d{5}-of-\d{5}\.gguf$/i.test(file) || /(^|\/)mmproj[^/]*$/i.test(file);
const isGguf = (file: string) => /\.gguf$/i.test(file);

/**
 * The files of a model: the named one, else the only GGUF, else safetensors and what transformers saves beside them.
 *
 * @throws Error that says what the repository has and what to write, where it has none or the choice is the user's
 */
export function chooseModel(id: HubId, files: PinnedFile[]): Choice {
  const wanted = id.file;
  if (wanted === WEIGHTS_FILE || wanted === INDEX_FILE) return chooseSafetensors(id, files);
  if (wanted !== null) return chooseNamed(id, wanted, files);
  const ggufs = files.filter(({ file }) => isGguf(file) && !isPartOfGguf(file));
  const [only, ...more] = ggufs;
  if (only === undefined) return chooseSafetensors(id, files);
  if (more.length === 0) return { opens: only.file, settings: [], weights: [only] };
  const hasSafetensors = files.some(({ file }) => file === WEIGHTS_FILE || file === INDEX_FILE);
  const other = hasSafetensors ? `, or ${hubIdText({ ...id, file: WEIGHTS_FILE })} for its safetensors` : "";
  throw new Error(
    `${hubIdText(id)} has ${ggufs.length} GGUF files. Name one, such as ${hubIdText({ ...id, file: only.file })}${other}:\n${list(ggufs)}`,
  );
}

/** The files of a LoRA in PEFT's format. @throws Error that says what the repository has, where it is none */
export function chooseAdapter(id: HubId, files: PinnedFile[]): Choice {
  if (id.file !== null) {
    throw new Error(`An adapter is a whole repository: write ${hubIdText({ ...id, file: null })}.`);
  }
  const [config, weights] = named(files, [ADAPTER_CONFIG, ADAPTER_WEIGHTS]);
  if (config !== undefined && weights !== undefined) {
    const extras = named(files, ADAPTER_EXTRAS).filter((file) => file !== undefined);
    return { opens: "", settings: [config, ...extras], weights: [weights] };
  }
  throw new Error(
    `${hubIdText(id)} is not a LoRA in PEFT's format, with ${ADAPTER_CONFIG} and ${ADAPTER_WEIGHTS}. It has:\n${list(files)}`,
  );
}

/** The files that an index names. @throws Error where the repository lacks one */
export function chooseShards(id: HubId, files: PinnedFile[], names: string[]): PinnedFile[] {
  return names.map((name) => {
    const [shard] = named(files, [name]);
    if (shard !== undefined) return shard;
    throw new Error(`${INDEX_FILE} of ${hubIdText(id)} names ${name}, which the repository does not have.`);
  });
}

function chooseNamed(id: HubId, wanted: string, files: PinnedFile[]): Choice {
  const [file] = named(files, [wanted]);
  if (file !== undefined && isGguf(wanted) && !isPartOfGguf(wanted)) {
    return { opens: wanted, settings: [], weights: [file] };
  }
  const whole = hubIdText({ ...id, file: null });
  if (file === undefined) throw new Error(`${whole} has no file ${wanted}. It has:\n${list(files)}`);
  if (isPartOfGguf(wanted)) throw new Error(`${wanted} of ${whole} is not a whole model, which is all that is served.`);
  throw new Error(`${wanted} of ${whole} is not a model: name a GGUF file, or no file for its safetensors.`);
}

function chooseSafetensors(id: HubId, files: PinnedFile[]): Choice {
  const [index, whole] = named(files, [INDEX_FILE, WEIGHTS_FILE]);
  const weights = index ?? whole;
  if (weights === undefined) throw nothingToServe(id, files);
  const missing = MODEL_SETTINGS.find((name) => !files.some(({ file }) => file === name));
  if (missing !== undefined) {
    throw new Error(`${hubIdText(id)} has ${weights.file} but no ${missing}, which is needed. It has:\n${list(files)}`);
  }
  const settings = [...MODEL_SETTINGS, ...MODEL_EXTRAS].flatMap((name) => files.filter(({ file }) => file === name));
  return index === undefined
    ? { opens: "", settings, weights: [weights] }
    : { opens: "", settings: [...settings, index], weights: null };
}

function nothingToServe(id: HubId, files: PinnedFile[]): Error {
  const isAdapter = files.some(({ file }) => file === ADAPTER_CONFIG);
  const advice = isAdapter
    ? "It is an adapter: give it as --adapter, and the model that it was trained on as --model."
    : "Served are GGUF files in one part, and models that transformers saved as safetensors.";
  return new Error(
    `${hubIdText({ ...id, file: null })} has no GGUF file, no ${WEIGHTS_FILE} and no ${INDEX_FILE}. ${advice} It has:\n${list(files)}`,
  );
}

function named(files: PinnedFile[], names: string[]): (PinnedFile | undefined)[] {
  return names.map((name) => files.find(({ file }) => file === name));
}

/** As many as a person reads through. */
const LISTED = 40;

function list(files: PinnedFile[]): string {
  const lines = files.slice(0, LISTED).map(({ file, bytes }) => `  - ${file} (${byteText(bytes)})`);
  const rest = files.length > LISTED ? [`  and ${files.length - LISTED} more`] : [];
  return files.length === 0 ? "  nothing" : [...lines, ...rest].join("\n");
}
