import { int } from "../builder.ts";
import { DATA_TYPES, type Value } from "../graph.ts";
import { intAttribute, reducedAxes } from "./infer-shapes.ts";
import type { Pullback, Rule } from "./pullback.ts";
import { productOf } from "./shape.ts";

/** Rules of sums, means and maxima along axes. */

const axesOf = (back: Pullback): number[] => reducedAxes(back.node, back.shape(back.input(0)), back.facts);

/** A value of the output's shape with its reduced axes back, as axes of size 1; one that stands for the whole input needs none. */
function withAxes(back: Pullback, value: Value): Value {
  const isWhole = back.input(1).name === "";
  if (isWhole || intAttribute(back.node, "keepdims", 1) === 1) return value;
  return back.emit("Unsqueeze", [value, back.integers(axesOf(back))]);
}

const expanded = (back: Pullback, value: Value): Value =>
  back.emit("Expand", [withAxes(back, value), back.emit("Shape", [back.input(0)])]);

/** How many elements each output stands for, a float32 scalar. */
function count(back: Pullback): Value {
  const shape = back.shape(back.input(0));
  const fixed = productOf(axesOf(back).map((axis) => shape[axis] ?? 1));
  if (typeof fixed === "number") return back.scalar(fixed);
  const ratio = back.emit("Div", [back.emit("Size", [back.input(0)]), back.emit("Size", [back.output(0)])]);
  return toFloat(back, ratio);
}

const toFloat = (back: Pullback, value: Value): Value =>
  back.emit("Cast", [value], { attributes: { to: int(DATA_TYPES.float32) } });

/** Where several elements are the largest, they share the cotangent. */
const max: Rule = (back) =>
  back.pull(0, () => {
    const isMax = toFloat(back, back.emit("Equal", [back.input(0), withAxes(back, back.output(0))]));
    const ties = back.emit("ReduceSum", [isMax, back.integers(axesOf(back))]);
    return back.emit("Mul", [isMax, back.emit("Div", [withAxes(back, back.cotangent()), ties])]);
  });

export const REDUCTION_RULES: Partial<Record<string, Rule>> = {
  ReduceSum: (back) => back.pull(0, () => expanded(back, back.cotangent())),
  ReduceMean: (back) => back.pull(0, () => expanded(back, back.emit("Div", [back.cotangent(), count(back)]))),
  ReduceMax: max,
};
