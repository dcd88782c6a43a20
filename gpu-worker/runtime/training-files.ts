import { createHash } from "node:crypto";
import { join } from "node:path";
import type { DecoderConfig } from "../graph/decoder.ts";
import type { Graph } from "../graph/graph.ts";
import type { Precision } from "../graph/precision.ts";
import { serialiseGraph } from "../graph/serialise.ts";
import { attributeParameters, buildAttributeStep } from "../graph/training/attribute-step.ts";
import type { TrainedModel } from "../graph/training/decoder.ts";
import { type Lora, loraParameters, type Parameter } from "../graph/training/lora.ts";
import { buildReplyStep } from "../graph/training/reply-step.ts";
import type { Purpose } from "../graph/training/step.ts";
import { cacheDirectory } from "../model/cache.ts";
import { openCheckpoint } from "../model/checkpoint.ts";
import { exists, GRAPH_FILE, writeWhole } from "./decoder-files.ts";
import { int8Layout } from "./int8-layout.ts";

/**
 * A training step, of one of two kinds: over replies, where `precision` is that of the model's own matrices ("fp32" where it is left out),
 * or over as many attributes as `attributes` says.
 */
export type TrainingStep = { purpose: Purpose; lora: Lora } & (
  | { kind: "reply"; precision?: Precision }
  | { kind: "attributes"; attributes: number }
);

/** `path`: of the ONNX file. `parameters`: those that the step reads, and has gradients of. */
export type TrainingGraph = { path: string; config: DecoderConfig; parameters: Parameter[] };

/**
 * A training step over a model as ONNX files, built once for its weights.
 *
 * @param model a GGUF file, or a directory as transformers saves it
 * @throws Error where the model cannot be read, or this processor does not compute the step
 */
export async function ensureTrainingGraph(
  model: string,
  step: TrainingStep,
  cache: string = cacheDirectory(),
): Promise<TrainingGraph> {
  await using opened = new AsyncDisposableStack();
  const checkpoint = await openCheckpoint(model);
  opened.defer(checkpoint.close);
  const { config, weights } = checkpoint;
  const trained: TrainedModel = { config, source: weights, lora: step.lora };
  const graph = await build(trained, step);
  const { initializers, ...structure } = graph;
  const shapes = initializers.map(({ name, type, shape }) => ({ name, type, shape }));
  const content = createHash("sha256").update(await checkpoint.contentHash());
  content.update(JSON.stringify({ config, structure, shapes }));
  const directories = join(cache, "training");
  const directory = join(directories, `${step.kind}-${step.purpose}-${content.digest("hex").slice(0, 32)}`);
  if (!(await exists(directory))) await writeWhole(directories, directory, (sink) => serialiseGraph(graph, sink));
  const parameters =
    step.kind === "reply" ? loraParameters(config, step.lora.rank) : attributeParameters(trained, step.attributes);
  return { path: join(directory, GRAPH_FILE), config, parameters };
}

function build(model: TrainedModel, step: TrainingStep): Promise<Graph> {
  if (step.kind === "reply" && step.precision === "int8" && int8Layout() !== "int8-channels") {
    throw new Error("This processor cannot sum products of bytes without overflow: train with --precision fp32.");
  }
  if (step.kind === "reply") return buildReplyStep(model, step.purpose, step.precision);
  return buildAttributeStep(model, step.attributes, step.purpose);
}
