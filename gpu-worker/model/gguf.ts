import { type FileHandle, open } from "node:fs/promises";
import { type GGUFTensorInfo, gguf } from "@huggingface/gguf";
import { dequantise, quantisedSize, SUPPORTED_FORMATS } from "./dequantise.ts";
import { GgufMetadata } from "./metadata.ts";
import { readFully } from "./read-fully.ts";

/** An open GGUF file: its metadata in memory, its tensors read on demand. */
export type Gguf = {
  readonly path: string;
  readonly metadata: GgufMetadata;
  readonly tensorNames: readonly string[];
  has(name: string): boolean;
  /**
   * Row-major: GGUF lists the fastest-moving dimension first, so its (576, 49152) is [49152, 576] here.
   *
   * @throws Error where there is no such tensor
   */
  shape(name: string): number[];
  /**
   * One tensor's values, dequantised, row-major.
   *
   * @throws Error where there is no such tensor, its format is not supported, or the file ends early
   */
  readFloat32(name: string): Promise<Float32Array>;
  close(): Promise<void>;
};

type Tensor = { shape: number[]; count: number; type: number; offset: number };

/** Formats that are met in practice and not read, so that an error can name them. */
const UNSUPPORTED_NAMES: Record<number, string> = { 10: "Q2_K", 11: "Q3_K", 13: "Q5_K", 20: "IQ4_NL", 23: "IQ4_XS" };

function toTensor(info: GGUFTensorInfo, dataOffset: bigint): Tensor {
  const shape = info.shape.map(Number).reverse();
  return {
    shape,
    count: shape.reduce((product, size) => product * size, 1),
    type: info.dtype,
    offset: Number(dataOffset + info.offset),
  };
}

async function parseHeader(path: string) {
  try {
    return await gguf(path, { allowLocalFile: true });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${path} is not a readable GGUF file (${reason}).`, { cause: error });
  }
}

/**
 * Refuses a file that ends before its header or its last tensor does, so that a broken download fails on open and not in the
 * middle of a load. The library reads zeros past the end, so a cut header has to be found here too.
 */
function checkLength(path: string, length: number, headerEnd: number, tensors: Map<string, Tensor>): void {
  const ends = [...tensors].map(([name, { offset, type, count }]): [string, number] => [
    `tensor ${name}`,
    offset + (quantisedSize(type, count) ?? 0),
  ]);
  for (const [what, end] of [["its header", headerEnd] as const, ...ends]) {
    if (end <= length) continue;
    throw new Error(`${path} is cut short: ${what} ends at byte ${end}, the file at ${length}. Fetch it again.`);
  }
}

/**
 * Opens a GGUF file. The caller closes it.
 *
 * @throws Error where the file cannot be opened, is no GGUF, or is cut short
 */
export async function openGguf(path: string): Promise<Gguf> {
  const file = await open(path, "r").catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`Cannot open the model file ${path} (${reason}).`, { cause: error });
  });
  try {
    const header = await parseHeader(path);
    if (!header.littleEndian) throw new Error(`${path} is a big-endian GGUF file, which is not supported.`);
    const tensors = new Map(header.tensorInfos.map((info) => [info.name, toTensor(info, header.tensorDataOffset)]));
    checkLength(path, (await file.stat()).size, header.tensorInfoByteRange[1], tensors);
    return fromParts(path, file, new GgufMetadata(header.metadata, path), tensors);
  } catch (error) {
    await file.close();
    throw error;
  }
}

function fromParts(path: string, file: FileHandle, metadata: GgufMetadata, tensors: Map<string, Tensor>): Gguf {
  const find = (name: string): Tensor => {
    const tensor = tensors.get(name);
    if (tensor === undefined) throw new Error(`${path} has no tensor ${name}.`);
    return tensor;
  };
  return {
    path,
    metadata,
    tensorNames: [...tensors.keys()],
    has: (name) => tensors.has(name),
    shape: (name) => [...find(name).shape],
    async readFloat32(name) {
      const { type, count, offset } = find(name);
      const size = quantisedSize(type, count);
      if (size === undefined) {
        const format = UNSUPPORTED_NAMES[type] ?? `ggml type ${type}`;
        throw new Error(
          `${path}: tensor ${name} is stored as ${format}; supported are ${SUPPORTED_FORMATS.join(", ")}. ` +
            "Take a file of the same model in one of those.",
        );
      }
      return dequantise(type, await readFully(path, file, offset, size), count);
    },
    close: () => file.close(),
  };
}
