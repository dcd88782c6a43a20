import type { Value } from "../graph.ts";
import { MICROSOFT } from "../layers.ts";
import { intAttribute } from "./infer-shapes.ts";
import type { Pullback, Rule } from "./pullback.ts";
import { fromFront } from "./shape.ts";

/** Rules of operators that stand for a whole formula of a network. */

const sumOver = (back: Pullback, value: Value, axis: number): Value =>
  back.emit("ReduceSum", [value, back.integers([axis])]);

/** dx = (dy − Σ dy · y) · y. */
const softmax: Rule = (back) =>
  back.pull(0, () => {
    const [dy, y] = [back.cotangent(), back.output(0)];
    const projected = sumOver(back, back.emit("Mul", [dy, y]), intAttribute(back.node, "axis", -1));
    return back.emit("Mul", [back.emit("Sub", [dy, projected]), y]);
  });

/**
 * dx = dy − eʸ · Σ dy. Where the loss reads only some of the log-probabilities, dy is never made whole: over a vocabulary it would be
 * the largest tensor of the step, and nearly all zeros.
 */
const logSoftmax: Rule = (back) => {
  const axis = intAttribute(back.node, "axis", -1);
  const scatter = back.scattered();
  const probability = () => back.emit("Exp", [back.output(0)]);
  if (scatter?.axis === fromFront(axis, back.shape(back.input(0)).length)) {
    back.pull(0, () => back.emit("Mul", [probability(), back.emit("Neg", [sumOver(back, scatter.updates, axis)])]));
    back.pull(0, () => scatter);
    return;
  }
  back.pull(0, () => {
    const dy = back.cotangent();
    return back.emit("Sub", [dy, back.emit("Mul", [probability(), sumOver(back, dy, axis)])]);
  });
};

/** y = γ · x · s with s = (mean x² + ε)^−½, which the forward pass gives away as its second output. */
const rmsNorm: Rule = (back) => {
  const { node } = back;
  const [x, gamma] = [back.input(0), back.input(1)];
  if (intAttribute(node, "axis", -1) !== -1) throw back.refusal("it does not normalise the last axis");
  const inverse = (): Value => {
    if (node.outputs[1] === undefined || node.outputs[1] === "") node.outputs[1] = `${node.name}.inverse`;
    return back.output(1);
  };
  back.pull(0, () => {
    const scale = inverse();
    const dNormed = back.emit("Mul", [back.cotangent(), gamma]);
    const mean = back.emit("ReduceMean", [back.emit("Mul", [dNormed, x]), back.integers([-1])]);
    const cubed = back.emit("Mul", [back.emit("Mul", [scale, scale]), scale]);
    const along = back.emit("Mul", [x, back.emit("Mul", [mean, cubed])]);
    return back.emit("Sub", [back.emit("Mul", [dNormed, scale]), along]);
  });
  back.pull(1, () => back.reducedTo(back.emit("Mul", [back.cotangent(), back.emit("Mul", [x, inverse()])]), gamma));
};

/** A rotation's transpose is the rotation by the opposite angle. */
const rotaryEmbedding: Rule = (back) =>
  back.pull(0, () => {
    const [, positions, cos, sin] = back.node.inputs.map((_, index) => back.input(index));
    if (positions === undefined || cos === undefined || sin === undefined) throw back.refusal("inputs are missing");
    const { attributes } = back.node;
    const opposite = back.emit("Neg", [sin]);
    return back.emit("RotaryEmbedding", [back.cotangent(), positions, cos, opposite], {
      domain: MICROSOFT,
      attributes,
    });
  });

export const NETWORK_RULES: Partial<Record<string, Rule>> = {
  Softmax: softmax,
  LogSoftmax: logSoftmax,
  SimplifiedLayerNormalization: rmsNorm,
  RotaryEmbedding: rotaryEmbedding,
};
