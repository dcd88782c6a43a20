import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { z } from "zod";
import { dequantise } from "./dequantise.ts";
import { readFully } from "./read-fully.ts";

/** An open safetensors file: its header in memory, its tensors read on demand. */
export type Safetensors = {
  readonly path: string;
  readonly tensorNames: readonly string[];
  has(name: string): boolean;
  /** @throws Error where there is no such tensor */
  shape(name: string): number[];
  /**
   * One tensor's values, row-major.
   *
   * @throws Error where there is no such tensor, or it is not stored as F32, F16 or BF16
   */
  readFloat32(name: string): Promise<Float32Array>;
  /** SHA-256 of the whole file, of the very bytes that the tensors are read from. */
  contentHash(): Promise<string>;
  close(): Promise<void>;
};

type Tensor = { dtype: string; shape: number[]; count: number; start: number; end: number };

/** The format's own cap, https://github.com/huggingface/safetensors#format. */
const LARGEST_HEADER = 100_000_000;
const LENGTH_BYTES = 8;

/** Bits of one value. A type that is not listed is let be until somebody reads it. */
const DTYPE_BITS: Record<string, number> = {
  ...{ BOOL: 8, U8: 8, I8: 8, F8_E4M3: 8, F8_E5M2: 8, F8_E8M0: 8, F4: 4 },
  ...{ I16: 16, U16: 16, F16: 16, BF16: 16, I32: 32, U32: 32, F32: 32, I64: 64, U64: 64, F64: 64 },
};

/** The types that are read, by ggml's number for the same layout. */
const GGML_TYPES: Record<string, number> = { F32: 0, F16: 1, BF16: 30 };

const size = z.int().nonnegative();
const tensorSchema = z.strictObject({ dtype: z.string(), shape: z.array(size), data_offsets: z.tuple([size, size]) });
const headerSchema = z.looseObject({ __metadata__: z.record(z.string(), z.string()).optional() });

/**
 * Opens a safetensors file and checks all of its header, so that a broken or hostile file fails here and not in the middle of a
 * load. The caller closes it.
 *
 * @throws Error that names the file, and the tensor where it is about one
 */
export async function openSafetensors(path: string): Promise<Safetensors> {
  const file = await open(path, "r").catch((error: unknown) => {
    throw new Error(`Cannot open ${path} (${reasonOf(error)}).`, { cause: error });
  });
  try {
    const { size: length } = await file.stat();
    const { header, dataOffset } = await readHeader(path, file, length);
    const tensors = readTensors(path, header, length - dataOffset);
    return fromParts(path, file, dataOffset, tensors);
  } catch (error) {
    await file.close();
    throw error;
  }
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

async function readHeader(path: string, file: FileHandle, length: number) {
  const broken = (reason: string, cause?: unknown) =>
    new Error(`${path} is not a readable safetensors file: ${reason}.`, { cause });
  if (length < LENGTH_BYTES) throw broken(`it has ${length} bytes`);
  const prefix = await readFully(path, file, 0, LENGTH_BYTES);
  const headerLength = new DataView(prefix.buffer).getBigUint64(0, true);
  if (headerLength > LARGEST_HEADER)
    throw broken(`its header claims ${headerLength} bytes, more than ${LARGEST_HEADER}`);
  const dataOffset = LENGTH_BYTES + Number(headerLength);
  if (dataOffset > length) throw broken(`its header ends at byte ${dataOffset}, the file at ${length}`);
  const bytes = await readFully(path, file, LENGTH_BYTES, Number(headerLength));
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return { header: headerSchema.parse(JSON.parse(text)), dataOffset };
  } catch (error) {
    throw broken("its header is no JSON object of tensors", error);
  }
}

/** The header's entries, each checked against the `dataLength` bytes that follow it. */
function readTensors(path: string, header: object, dataLength: number): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const parsed = tensorSchema.safeParse(entry);
    if (!parsed.success) throw wrongTensor(path, name, "has a header entry that is not dtype, shape and data_offsets");
    const { dtype, shape, data_offsets: offsets } = parsed.data;
    const [start, end] = offsets;
    const count = shape.reduce((product, length) => product * length, 1);
    if (end < start || end > dataLength) {
      throw wrongTensor(path, name, `lies at bytes ${start} to ${end} of ${dataLength}. Fetch the file again`);
    }
    const bits = DTYPE_BITS[dtype];
    if (bits !== undefined && count * bits !== (end - start) * 8) {
      throw wrongTensor(
        path,
        name,
        `has ${end - start} bytes, but ${dtype} of shape [${shape}] has ${(count * bits) / 8}`,
      );
    }
    tensors.set(name, { dtype, shape, count, start, end });
  }
  refuseOverlaps(path, tensors, dataLength);
  return tensors;
}

/** The format wants the tensors to fill the data without holes; that also finds a name that is listed twice. */
function refuseOverlaps(path: string, tensors: Map<string, Tensor>, dataLength: number): void {
  let filled = 0;
  for (const [name, { start, end }] of [...tensors].sort(([, a], [, b]) => a.start - b.start || a.end - b.end)) {
    if (start < filled) throw wrongTensor(path, name, "overlaps another tensor");
    if (start > filled)
      throw wrongTensor(path, name, `starts at byte ${start}, where bytes from ${filled} on are nobody's`);
    filled = end;
  }
  if (filled !== dataLength) {
    throw new Error(`${path} has ${dataLength - filled} bytes after its last tensor. Fetch the file again.`);
  }
}

function wrongTensor(path: string, name: string, problem: string): Error {
  return new Error(`${path}: tensor ${name} ${problem}.`);
}

function fromParts(path: string, file: FileHandle, dataOffset: number, tensors: Map<string, Tensor>): Safetensors {
  const find = (name: string): Tensor => {
    const tensor = tensors.get(name);
    if (tensor === undefined) throw new Error(`${path} has no tensor ${name}.`);
    return tensor;
  };
  return {
    path,
    tensorNames: [...tensors.keys()],
    has: (name) => tensors.has(name),
    shape: (name) => [...find(name).shape],
    async readFloat32(name) {
      const { dtype, count, start, end } = find(name);
      const type = GGML_TYPES[dtype];
      if (type === undefined) {
        throw wrongTensor(path, name, `is stored as ${dtype}; supported are ${Object.keys(GGML_TYPES).join(", ")}`);
      }
      return dequantise(type, await readFully(path, file, dataOffset + start, end - start), count);
    },
    async contentHash() {
      const hash = createHash("sha256");
      for await (const chunk of file.createReadStream({ start: 0, autoClose: false, highWaterMark: 1 << 20 })) {
        hash.update(chunk);
      }
      return hash.digest("hex");
    },
    close: () => file.close(),
  };
}
