import { int } from "../builder.ts";
import type { Graph } from "../graph.ts";
import type { Precision } from "../precision.ts";
import { type TrainedModel, trainingDecoder } from "./decoder.ts";
import { loraParameters } from "./lora.ts";
import { declareGradients, type Purpose } from "./step.ts";

/** Steepness of the discriminative term (DESIGN §5). */
const SHARPNESS = 0.5;

/**
 * A step of attribute-conditioned SFT: the likelihood of replies, and how much likelier each is under its own label line than under
 * another.
 *
 * Inputs beside the decoder's (R replies, P pairs of them): `targets` int64 [N,1], the token after each wanted one · `weights` float32
 * [N,1] · `membership` float32 [R,N], 1 where a wanted token's target is of that reply · `own`, `other` int64 [P], a reply under its own
 * and under another label line · `pair_weights` float32 [P,1].
 *
 * Outputs: `likelihood` float32 scalar, −Σ weight · log p(target) · `contrast` float32 scalar,
 * Σ pair weight · softplus(−½ (log p_own − log p_other)) with log-probabilities of whole replies · `reply_logprobs` float32 [R,1] ·
 * `token_logprobs` float32 [N,1] · to train, ∂(likelihood + contrast)/∂ of each parameter.
 */
export async function buildReplyStep(
  model: TrainedModel,
  purpose: Purpose,
  precision: Precision = "fp32",
): Promise<Graph> {
  const { build, logits, standIns, graph } = trainingDecoder(model, purpose, precision);
  const { builder } = build;
  const targets = builder.input("targets", "int64", ["wanted", 1]);
  const weights = builder.input("weights", "float32", ["wanted", 1]);
  const membership = builder.input("membership", "float32", ["replies", "wanted"]);
  const [own, other] = [builder.input("own", "int64", ["pairs"]), builder.input("other", "int64", ["pairs"])];
  const pairWeights = builder.input("pair_weights", "float32", ["pairs", 1]);
  const total = { attributes: { keepdims: int(0) } };

  const logprobs = builder.node("LogSoftmax", "logprobs", [logits()], { attributes: { axis: int(-1) } });
  const chosen = builder.node("GatherElements", "chosen", [logprobs, targets], { attributes: { axis: int(1) } });
  const weighted = builder.node("ReduceSum", "weighted", [builder.node("Mul", "terms", [chosen, weights])], total);
  const likelihood = builder.node("Neg", "nll", [weighted]);

  const replies = builder.node("MatMul", "replies", [membership, chosen]);
  const at = (name: string, indices: typeof own) => builder.node("Gather", name, [replies, indices]);
  const margins = builder.node("Sub", "margins", [at("others", other), at("owns", own)]);
  const sharpness = builder.constant("sharpness", "float32", [], Float32Array.of(SHARPNESS));
  const penalties = builder.node("Softplus", "penalties", [builder.node("Mul", "sharpened", [margins, sharpness])]);
  const contrast = builder.node(
    "ReduceSum",
    "pairs",
    [builder.node("Mul", "pair.terms", [penalties, pairWeights])],
    total,
  );

  if (purpose === "train") {
    const parameters = loraParameters(model.config, model.lora.rank);
    await declareGradients(graph(), [likelihood, contrast], parameters, standIns);
  }
  builder.output(likelihood, "likelihood", "float32", []);
  builder.output(contrast, "contrast", "float32", []);
  builder.output(replies, "reply_logprobs", "float32", ["replies", 1]);
  builder.output(chosen, "token_logprobs", "float32", ["wanted", 1]);
  return graph();
}
