import { int } from "../builder.ts";
import type { Graph } from "../graph.ts";
import { MICROSOFT } from "../layers.ts";
import { type TrainedModel, trainingDecoder } from "./decoder.ts";
import { loraParameters, type Parameter } from "./lora.ts";
import { declareGradients, type Purpose } from "./step.ts";

export const HEAD_WEIGHT = "head.weight";
export const HEAD_BIAS = "head.bias";

/** The adapter's matrices, and the linear head that reads attributes off a hidden state; its bias is a row. */
export function attributeParameters({ config, lora }: TrainedModel, attributes: number): Parameter[] {
  return [
    ...loraParameters(config, lora.rank),
    { name: HEAD_WEIGHT, shape: [attributes, config.hidden] },
    { name: HEAD_BIAS, shape: [1, attributes] },
  ];
}

/**
 * A step of the attribute prediction model: a linear head on one token's state per row, and the masked squared error of what it reads.
 *
 * Inputs beside the decoder's, whose `wanted` is one token of each row, in order: the head's parameters · `targets` float32 [N,K] ·
 * `weights` float32 [N,K], 0 where an attribute has no target.
 *
 * Outputs: `predictions` float32 [N,K] · `error` float32 scalar, Σ weight · (prediction − target)² · to train, ∂error/∂ of each parameter.
 */
export async function buildAttributeStep(model: TrainedModel, attributes: number, purpose: Purpose): Promise<Graph> {
  const { build, wanted, graph } = trainingDecoder(model, purpose, "fp32");
  const { builder } = build;
  const weight = builder.input(HEAD_WEIGHT, "float32", [attributes, model.config.hidden]);
  const bias = builder.input(HEAD_BIAS, "float32", [1, attributes]);
  const targets = builder.input("targets", "float32", ["wanted", attributes]);
  const weights = builder.input("weights", "float32", ["wanted", attributes]);

  const product = builder.node("FusedMatMul", "head", [wanted, weight], {
    domain: MICROSOFT,
    attributes: { transB: int(1) },
  });
  const predictions = builder.node("Add", "head.biased", [product, bias]);
  const difference = builder.node("Sub", "difference", [predictions, targets]);
  const squares = builder.node("Mul", "squares", [difference, difference]);
  const error = builder.node("ReduceSum", "squared", [builder.node("Mul", "terms", [squares, weights])], {
    attributes: { keepdims: int(0) },
  });

  if (purpose === "train") await declareGradients(graph(), [error], attributeParameters(model, attributes));
  builder.output(predictions, "predictions", "float32", ["wanted", attributes]);
  builder.output(error, "error", "float32", []);
  return graph();
}
