import { open, rename, rm } from "node:fs/promises";
import { halfPrecision } from "./half-precision.ts";
import { writingFailed } from "./save-file.ts";

/** How a tensor's values are stored. */
export type GgufFloat = "f32" | "f16";

export type GgufTensor = {
  name: string;
  /** Row-major, [outputs, inputs], as `Gguf.shape` gives it. */
  shape: readonly number[];
  read: () => Promise<Float32Array>;
};

/** A string, a 32-bit float or an unsigned 32-bit number: what adapters need of GGUF's types. */
export type GgufValue = string | { float32: number } | { uint32: number };

const VERSION = 3;
const ALIGNMENT = 32;
const VALUE_TYPES = { uint32: 4, float32: 6, string: 8 };
const TENSOR_TYPES: Record<GgufFloat, number> = { f32: 0, f16: 1 };
const BYTES: Record<GgufFloat, number> = { f32: 4, f16: 2 };

/** How a file is written; `signal` ends it. */
export type GgufWriting = { float: GgufFloat; signal?: AbortSignal | undefined };

/**
 * Writes a GGUF file (version 3, little-endian), one tensor in memory at a time. The file is there whole or not at all: it is written
 * beside its place and moved there at the end.
 *
 * @see https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 * @throws Error where a tensor has not as many values as its shape says, or the disk does not take the file
 */
export async function writeGguf(
  path: string,
  metadata: ReadonlyMap<string, GgufValue>,
  tensors: readonly GgufTensor[],
  { float, signal }: GgufWriting,
): Promise<void> {
  const part = `${path}.part-${process.pid}`;
  const onDisk = <T>(work: Promise<T>): Promise<T> =>
    work.catch((error: unknown) => {
      throw writingFailed(path, error);
    });
  try {
    const file = await onDisk(open(part, "w"));
    try {
      await onDisk(file.writeFile(header(metadata, tensors, float)));
      for (const tensor of tensors) {
        signal?.throwIfAborted();
        await onDisk(file.writeFile(await tensorBytes(tensor, float)));
      }
      await onDisk(file.sync());
    } finally {
      await file.close();
    }
    await onDisk(rename(part, path));
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

/** A tensor's values, filled up to where the next begins. */
async function tensorBytes({ name, shape, read }: GgufTensor, float: GgufFloat): Promise<Buffer> {
  const values = await read();
  if (values.length !== sizeOf(shape)) {
    throw new Error(`${name} has ${values.length} values, but its shape is [${shape}].`);
  }
  const whole = () => Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  const bytes = float === "f16" ? halfPrecision(name, values) : whole();
  return Buffer.concat([bytes, padding(bytes.length)]);
}

function header(metadata: ReadonlyMap<string, GgufValue>, tensors: readonly GgufTensor[], float: GgufFloat): Buffer {
  const parts = [Buffer.from("GGUF"), uint32(VERSION), uint64(tensors.length), uint64(metadata.size)];
  for (const [key, value] of metadata) parts.push(text(key), valueBytes(value));
  let offset = 0;
  for (const { name, shape } of tensors) {
    // The fastest-moving dimension comes first.
    const dimensions = shape.toReversed().map(uint64);
    parts.push(text(name), uint32(shape.length), ...dimensions, uint32(TENSOR_TYPES[float]), uint64(offset));
    const length = sizeOf(shape) * BYTES[float];
    offset += length + padding(length).length;
  }
  const bytes = Buffer.concat(parts);
  return Buffer.concat([bytes, padding(bytes.length)]);
}

function valueBytes(value: GgufValue): Buffer {
  if (typeof value === "string") return Buffer.concat([uint32(VALUE_TYPES.string), text(value)]);
  if ("uint32" in value) return Buffer.concat([uint32(VALUE_TYPES.uint32), uint32(value.uint32)]);
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value.float32);
  return Buffer.concat([uint32(VALUE_TYPES.float32), bytes]);
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, length) => product * length, 1);

const padding = (length: number): Buffer => Buffer.alloc((ALIGNMENT - (length % ALIGNMENT)) % ALIGNMENT);

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, "utf8");
  return Buffer.concat([uint64(bytes.length), bytes]);
}
