import { int, ints } from "../builder.ts";
import { intAttribute, permutationOf, slicesOf } from "./infer-shapes.ts";
import type { Pullback, Rule } from "./pullback.ts";
import { fromFront } from "./shape.ts";

/** Rules of operators that move elements about and compute nothing. */

const reshape: Rule = (back) => back.pull(0, () => back.reshapedLike(back.cotangent(), back.output(0), back.input(0)));

const transpose: Rule = (back) =>
  back.pull(0, () => {
    const order = permutationOf(back.node, back.shape(back.input(0)).length);
    const inverse = order.map((_, axis) => order.indexOf(axis));
    return back.emit("Transpose", [back.cotangent()], { attributes: { perm: ints(...inverse) } });
  });

const split: Rule = (back) =>
  back.pull(0, () => {
    const parts = back.node.outputs.map((_, index) => back.cotangent(index));
    return back.emit("Concat", parts, { attributes: { axis: int(intAttribute(back.node, "axis", 0)) } });
  });

const concat: Rule = (back) => {
  const axis = intAttribute(back.node, "axis", 0);
  const inputs = back.node.inputs.map((_, index) => back.input(index));
  const sizes = inputs.map((input) => {
    const size = back.shape(input).at(axis);
    if (typeof size !== "number") throw back.refusal(`${input.name} has no fixed size along axis ${axis}`);
    return size;
  });
  const attributes = { axis: int(axis) };
  const parts = back.emitSeveral("Split", [back.cotangent(), back.integers(sizes)], inputs.length, { attributes });
  for (const [index, part] of parts.entries()) back.pull(index, () => part);
};

const slice: Rule = (back) =>
  back.pull(0, () => {
    const slices = slicesOf(back.node, back.shape(back.input(0)), back.facts);
    if (slices === null) throw back.refusal("only constant slices with step 1 of axes of fixed size are");
    const pads = [...slices.map((part) => part?.start ?? 0), ...slices.map((part) => part?.rest ?? 0)];
    return back.emit("Pad", [back.cotangent(), back.integers(pads)]);
  });

const axisOf = (back: Pullback): number =>
  fromFront(intAttribute(back.node, "axis", 0), back.shape(back.input(0)).length);

const gather: Rule = (back) =>
  back.pull(0, () => {
    const rank = back.shape(back.input(0)).length;
    const axis = axisOf(back);
    if (back.shape(back.input(1)).length !== 1) throw back.refusal("its indices are no one-dimensional list");
    const updates = back.cotangent();
    const others = Array.from({ length: rank }, (_, index) => index).filter((index) => index !== axis);
    const aligned =
      others.length === 0 ? back.input(1) : back.emit("Unsqueeze", [back.input(1), back.integers(others)]);
    const indices = others.length === 0 ? aligned : back.emit("Expand", [aligned, back.emit("Shape", [updates])]);
    return { indices, updates, axis };
  });

const gatherElements: Rule = (back) =>
  back.pull(0, () => ({ indices: back.input(1), updates: back.cotangent(), axis: axisOf(back) }));

/** y = data, with updates added at indices. */
const scatterElements: Rule = (back) => {
  const { reduction } = back.node.attributes;
  if (reduction?.kind !== "string" || reduction.value !== "add") throw back.refusal("it does not add");
  const attributes = { axis: int(axisOf(back)) };
  back.pull(0, () => back.cotangent());
  back.pull(2, () => back.emit("GatherElements", [back.cotangent(), back.input(1)], { attributes }));
};

export const MOVEMENT_RULES: Partial<Record<string, Rule>> = {
  Reshape: reshape,
  Transpose: transpose,
  Split: split,
  Concat: concat,
  Slice: slice,
  Gather: gather,
  GatherElements: gatherElements,
  ScatterElements: scatterElements,
};
