import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { attributeSchema, measuredScaleSchema } from "../../schema/attributes.ts";
import { type LowRankUpdate, openAdapter } from "./adapter.ts";
import { attributeTextSchema } from "./attribute-text.ts";
import { parseJsonFile } from "./json-file.ts";
import { lengthLineSchema } from "./length-line.ts";
import { openSafetensors, type Safetensors } from "./safetensors.ts";

export const DESCRIPTION_FILE = "apm.json";
export const HEAD_FILE = "head.safetensors";
export const HEAD_TENSORS = { weight: "weight", bias: "bias" } as const;

const quantilesSchema = z.array(z.number()).min(2);

const predictedAttributeSchema = z.strictObject({
  name: attributeSchema,
  /** Mean of its labels. */
  mean: z.number(),
  /** What an answer's length alone suggests. The head reads by how much the answer differs from that. */
  by_length: lengthLineSchema,
  /** Evenly spaced quantiles of what was predicted for answers held out from training, and of their labels; null without such answers. */
  spread: z.strictObject({ predicted: quantilesSchema, labels: quantilesSchema }).nullable(),
});

/** What an attribute prediction model is: stored with it, as `apm.json`. */
const attributeModelSchema = z.strictObject({
  version: z.literal(2, { error: "is of another version: train the model again" }),
  /** In the order of the head's rows. */
  attributes: z.array(predictedAttributeSchema).min(1),
  text: attributeTextSchema,
  /** What levels of attributes mean that are measured instead of predicted. */
  measured: measuredScaleSchema.partial(),
  /** The weights that it was trained on, and reads with. */
  base: z.strictObject({ name: z.string(), sha256: z.string() }),
  training: z.strictObject({
    seed: z.string(),
    /** Steps after which it was best. */
    step: z.int().nonnegative(),
    /** Answers by source. */
    answers: z.record(z.string(), z.int().nonnegative()),
    /** On held-out answers; null where none were held out. */
    validation: z
      .strictObject({
        answers: z.int().positive(),
        /** Mean squared error, over all labels. */
        error: z.number(),
        attributes: z.partialRecord(
          attributeSchema,
          z.strictObject({ error: z.number(), pearson: z.number().nullable() }),
        ),
      })
      .nullable(),
  }),
});
export type AttributeModelDescription = z.infer<typeof attributeModelSchema>;

/** An attribute prediction model (APM) as read from its directory, its adapter's matrices on demand. */
export type AttributeModel = {
  directory: string;
  description: AttributeModelDescription;
  /** SHA-256 of all that its predictions depend on beside the base weights. */
  contentHash: string;
  rank: number;
  /** α/r. */
  scale: number;
  updates: ReadonlyMap<string, LowRankUpdate>;
  /** Weight [attributes, hidden], bias [attributes]. */
  head: { weight: Float32Array; bias: Float32Array };
  close(): Promise<void>;
};

/**
 * Opens an APM: a directory with `apm.json`, `head.safetensors` and a LoRA in PEFT's format. The caller closes it.
 *
 * @throws Error that names the file and what is wrong with it
 */
export async function openAttributeModel(directory: string): Promise<AttributeModel> {
  const path = join(directory, DESCRIPTION_FILE);
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(
      `${directory} is no attribute prediction model (${reason}). Name the apm directory that attune apm train wrote.`,
      { cause: error },
    );
  });
  const description = parseJsonFile(
    path,
    text,
    attributeModelSchema,
    "the description of an attribute prediction model",
  );
  const adapter = await openAdapter(directory);
  try {
    const head = await openSafetensors(join(directory, HEAD_FILE));
    try {
      const parts = [text, adapter.contentHash, await head.contentHash()];
      return {
        directory,
        description,
        contentHash: createHash("sha256").update(JSON.stringify(parts)).digest("hex"),
        ...evenRank(directory, adapter.updates),
        updates: adapter.updates,
        head: await readHead(head, description.attributes.length),
        close: adapter.close,
      };
    } finally {
      await head.close();
    }
  } catch (error) {
    await adapter.close();
    throw error;
  }
}

async function readHead(file: Safetensors, attributes: number) {
  const [rows] = file.shape(HEAD_TENSORS.weight);
  if (rows !== attributes || file.shape(HEAD_TENSORS.bias)[0] !== attributes) {
    throw new Error(`${file.path} predicts ${rows} attributes, but ${DESCRIPTION_FILE} beside it names ${attributes}.`);
  }
  return { weight: await file.readFloat32(HEAD_TENSORS.weight), bias: await file.readFloat32(HEAD_TENSORS.bias) };
}

/** The graph that reads attributes has one rank and one scale for all layers. */
function evenRank(directory: string, updates: ReadonlyMap<string, LowRankUpdate>): { rank: number; scale: number } {
  const [first] = updates.values();
  if (first === undefined) throw new Error(`${directory} adapts nothing.`);
  for (const [module, { rank, scale }] of updates) {
    if (rank !== first.rank || scale !== first.scale)
      throw new Error(`${directory}: ${module} has another rank or scale than the others, which is not supported.`);
  }
  return { rank: first.rank, scale: first.scale };
}
