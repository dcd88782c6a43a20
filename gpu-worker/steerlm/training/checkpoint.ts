import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { z } from "zod";
import { readFully } from "../../model/read-fully.ts";
import { saveFile } from "../../model/save-file.ts";
import type { Identity } from "./identity.ts";
import type { Measures } from "./measures.ts";

/** All that a run depends on at the end of a step, to the last bit. */
export type Checkpoint = {
  identity: Identity;
  /** Steps taken. */
  step: number;
  running: Measures;
  parameters: Float32Array;
  /** `AdamW.serialise`. */
  optimiser: Uint8Array;
};

const VERSION = 1;
/** Far more than the longest identity. */
const LARGEST_HEADER = 1 << 16;
const NEWLINE = 0x0a;

const headerSchema = z.strictObject({
  version: z.literal(VERSION),
  identity: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
  step: z.int().nonnegative(),
  running: z.record(z.string(), z.strictObject({ sum: z.number(), count: z.number() })),
  /** Bytes. */
  parameters: z.int().nonnegative(),
  optimiser: z.int().nonnegative(),
  sha256: z.string(),
});

/**
 * One line of JSON, then the parameters as float32 and the optimiser's state, as they are in memory.
 *
 * @throws Error that says what to do, where the disk does not take it; the checkpoint before is kept
 */
export async function writeCheckpoint(path: string, checkpoint: Checkpoint): Promise<void> {
  const { parameters, optimiser, ...rest } = checkpoint;
  const values = new Uint8Array(parameters.buffer, parameters.byteOffset, parameters.byteLength);
  const header: z.infer<typeof headerSchema> = {
    version: VERSION,
    ...rest,
    parameters: values.length,
    optimiser: optimiser.length,
    sha256: createHash("sha256").update(values).update(optimiser).digest("hex"),
  };
  await saveFile(path, [Buffer.from(`${JSON.stringify(header)}\n`), values, optimiser]);
}

/** @returns null where there is none. @throws Error where it cannot be read, or is broken */
export async function readCheckpoint(path: string): Promise<Checkpoint | null> {
  const file = await open(path).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  });
  if (file === null) return null;
  try {
    return await parse(path, file);
  } finally {
    await file.close();
  }
}

async function parse(path: string, file: FileHandle): Promise<Checkpoint> {
  const broken = (reason: string, cause?: unknown) =>
    new Error(`${path} is not a checkpoint that can be gone on with: ${reason}. Begin anew in another directory.`, {
      cause,
    });
  const { buffer, bytesRead } = await file.read(Buffer.alloc(LARGEST_HEADER), 0, LARGEST_HEADER, 0);
  const length = buffer.subarray(0, bytesRead).indexOf(NEWLINE);
  const header = headerSchema.safeParse(jsonOf(buffer.toString("utf8", 0, Math.max(0, length))));
  if (!header.success) throw broken("its first line is none of this version's", header.error);
  const { identity, step, running, sha256, ...sizes } = header.data;
  const start = length + 1;
  const { size } = await file.stat();
  if (size !== start + sizes.parameters + sizes.optimiser) throw broken(`it has ${size} bytes`);
  const values = await readFully(path, file, start, sizes.parameters);
  const optimiser = await readFully(path, file, start + sizes.parameters, sizes.optimiser);
  if (createHash("sha256").update(values).update(optimiser).digest("hex") !== sha256) throw broken("its hash differs");
  const parameters = new Float32Array(sizes.parameters / Float32Array.BYTES_PER_ELEMENT);
  new Uint8Array(parameters.buffer).set(values);
  return { identity, step, running, parameters, optimiser };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
