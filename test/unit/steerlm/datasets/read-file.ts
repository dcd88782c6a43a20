import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Conversation } from "../../../../gpu-worker/steerlm/datasets/conversation.ts";
import { FORMATS } from "../../../../gpu-worker/steerlm/datasets/formats.ts";
import type { Outcome } from "../../../../gpu-worker/steerlm/datasets/outcome.ts";
import { readDataset } from "../../../../gpu-worker/steerlm/datasets/read.ts";
import { DEFAULT_READ_OPTIONS, type ReadOptions } from "../../../../gpu-worker/steerlm/datasets/reader.ts";

export const lines = (...rows: unknown[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join("");

export async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** What becomes of a file with this content. */
export async function outcomesOf(
  content: string | Uint8Array,
  options: Partial<ReadOptions> & { format?: string } = {},
): Promise<Outcome[]> {
  const directory = await mkdtemp(join(tmpdir(), "attune-data-"));
  try {
    const path = join(directory, "rows");
    await writeFile(path, content);
    const { format: name, ...rest } = options;
    const format = FORMATS.find((one) => one.name === name);
    return await collected(readDataset(path, { ...DEFAULT_READ_OPTIONS, ...rest }, { format }));
  } finally {
    await rm(directory, { recursive: true });
  }
}

export async function conversationsOf(...args: Parameters<typeof outcomesOf>): Promise<Conversation[]> {
  return (await outcomesOf(...args)).map((outcome) => {
    if (outcome.kind !== "conversation") throw new Error(JSON.stringify(outcome));
    return outcome.conversation;
  });
}
