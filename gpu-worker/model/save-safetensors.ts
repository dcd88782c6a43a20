import { saveFile } from "./save-file.ts";

/** A tensor as the file holds it. */
export type StoredTensor = { name: string; dtype: "F16" | "F32"; shape: readonly number[]; bytes: Uint8Array };

const LENGTH_BYTES = 8;

/**
 * Writes a safetensors file (https://github.com/huggingface/safetensors#format), whole or not at all.
 *
 * @throws Error that says what to do, where the disk does not take it
 */
export async function saveSafetensors(path: string, tensors: readonly StoredTensor[]): Promise<void> {
  let end = 0;
  const entries = tensors.map(({ name, dtype, shape, bytes }) => {
    const start = end;
    end += bytes.length;
    return [name, { dtype, shape, data_offsets: [start, end] }];
  });
  const text = JSON.stringify({ __metadata__: { format: "pt" }, ...Object.fromEntries(entries) });
  // The format wants the tensors to begin at a multiple of eight; spaces may fill the header up.
  const header = Buffer.from(
    text + " ".repeat((LENGTH_BYTES - (Buffer.byteLength(text) % LENGTH_BYTES)) % LENGTH_BYTES),
  );
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeBigUInt64LE(BigInt(header.length));
  await saveFile(path, [length, header, ...tensors.map(({ bytes }) => bytes)]);
}
