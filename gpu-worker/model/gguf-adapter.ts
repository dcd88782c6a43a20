import { basename, resolve } from "node:path";
import type { DecoderConfig } from "../graph/decoder.ts";
import type { Adapter, LowRankUpdate } from "./adapter.ts";
import type { Architecture } from "./config.ts";
import { type GgufTensor, type GgufValue, type GgufWriting, writeGguf } from "./gguf-writer.ts";
import { checkAdapterFits } from "./merge.ts";
import { permuteRope } from "./rope-permutation.ts";
import { ggufName } from "./weights.ts";

/** The model that an adapter was trained on, as far as its tensors' names and order depend on it. */
export type AdapterBase = { architecture: Architecture; config: DecoderConfig };

/** ggml's version of its quantised formats, which llama.cpp's converters write into every file. */
const QUANTISATION_VERSION = 2;

/**
 * Writes an adapter as a GGUF file for llama.cpp's `--lora`, with the names, the order of rows and the metadata of its own
 * convert_lora_to_gguf.py.
 *
 * llama.cpp scales every update by alpha / rank. Where the adapter's updates are scaled in another way (rank-stabilised, or by
 * patterns), B is scaled instead, so that the product is the same.
 *
 * @throws Error where the adapter does not fit the model, or `path` cannot be written
 */
export async function writeGgufAdapter(
  path: string,
  adapter: Adapter,
  { architecture, config }: AdapterBase,
  writing: GgufWriting,
): Promise<void> {
  checkAdapterFits(config, adapter);
  const alpha = sharedAlpha([...adapter.updates.values()]);
  const metadata = new Map<string, GgufValue>([
    ["general.architecture", architecture],
    ["general.type", "adapter"],
    ["adapter.type", "lora"],
    ["general.name", basename(resolve(adapter.directory))],
    ["adapter.lora.alpha", { float32: alpha }],
    ["general.quantization_version", { uint32: QUANTISATION_VERSION }],
  ]);
  const tensors = [...adapter.updates].flatMap(([module, update]): GgufTensor[] => {
    const name = ggufName(`${module}.weight`);
    const { rank, inputs, outputs, scale, down, up } = update;
    const factor = scale / (alpha / rank);
    const heads = architecture === "llama" ? rotatedHeads(module, config) : undefined;
    const readUp = async () => {
      const scaled = factor === 1 ? await up() : (await up()).map((value) => value * factor);
      return heads === undefined ? scaled : permuteRope(scaled, heads, config.headDim, rank);
    };
    return [
      { name: `${name}.lora_a`, shape: [rank, inputs], read: down },
      { name: `${name}.lora_b`, shape: [outputs, rank], read: readUp },
    ];
  });
  await writeGguf(path, metadata, tensors, writing);
}

/** Scale times rank, which is PEFT's `lora_alpha` where no pattern and no rank-stabilised scale says otherwise; the first of several. */
function sharedAlpha([first]: readonly LowRankUpdate[]): number {
  if (first === undefined) throw new Error("The adapter changes nothing.");
  return first.scale * first.rank;
}

function rotatedHeads(module: string, { heads, kvHeads }: DecoderConfig): number | undefined {
  if (module.endsWith(".q_proj")) return heads;
  return module.endsWith(".k_proj") ? kvHeads : undefined;
}
