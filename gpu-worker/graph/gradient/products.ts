import { float, int } from "../builder.ts";
import type { Value } from "../graph.ts";
import { MICROSOFT } from "../layers.ts";
import { floatAttribute, intAttribute } from "./infer-shapes.ts";
import type { Pullback, Rule } from "./pullback.ts";

/** Rules of matrix products y = α · op(a) · op(b), where op transposes or does not. */

type Operand = { value: Value; transposed: boolean };

const plain = (value: Value): Operand => ({ value, transposed: false });
const transposed = (value: Value): Operand => ({ value, transposed: true });

function multiply(back: Pullback, a: Operand, b: Operand, alpha: number): Value {
  if (!a.transposed && !b.transposed && alpha === 1) return back.emit("MatMul", [a.value, b.value]);
  return back.emit("FusedMatMul", [a.value, b.value], {
    domain: MICROSOFT,
    attributes: { transA: int(a.transposed ? 1 : 0), transB: int(b.transposed ? 1 : 0), alpha: float(alpha) },
  });
}

function matMul(back: Pullback): void {
  if (intAttribute(back.node, "transBatchA", 0) + intAttribute(back.node, "transBatchB", 0) > 0) {
    throw back.refusal("its batch axes are transposed");
  }
  const [a, b] = [back.input(0), back.input(1)];
  const aTransposed = intAttribute(back.node, "transA", 0) === 1;
  const bTransposed = intAttribute(back.node, "transB", 0) === 1;
  const alpha = floatAttribute(back.node, "alpha", 1);
  back.pull(0, () => {
    const dy = back.cotangent();
    const da = aTransposed
      ? multiply(back, { value: b, transposed: bTransposed }, transposed(dy), alpha)
      : multiply(back, plain(dy), { value: b, transposed: !bTransposed }, alpha);
    return reducedToBatch(back, da, a);
  });
  back.pull(1, () => {
    const dy = back.cotangent();
    // One matrix for the whole batch: its rows are summed by one product, not by one for each and a sum of those.
    const isShared = back.shape(b).length === 2 && back.shape(a).length > 2 && !aTransposed;
    const [rows, dRows] = isShared ? [flattened(back, a, a), flattened(back, dy, back.output(0))] : [a, dy];
    const db = bTransposed
      ? multiply(back, transposed(dRows), { value: rows, transposed: aTransposed }, alpha)
      : multiply(back, { value: rows, transposed: !aTransposed }, plain(dRows), alpha);
    return isShared ? db : reducedToBatch(back, db, b);
  });
}

/** All leading axes as one. */
function flattened(back: Pullback, value: Value, shapedLike: Value): Value {
  const width = back.shape(shapedLike).at(-1);
  if (typeof width !== "number") throw back.refusal(`the last axis of ${shapedLike.name} has no fixed size`);
  return back.emit("Reshape", [value, back.integers([-1, width])]);
}

/** Matrices were repeated along batch axes only. */
function reducedToBatch(back: Pullback, value: Value, target: Value): Value {
  const batch = back.shape(back.output(0)).slice(0, -2);
  const own = back.shape(target).slice(0, -2);
  const isRepeated = batch.length !== own.length || batch.some((size, axis) => size !== own[axis]);
  return isRepeated ? back.reducedTo(value, target) : value;
}

/** y = α · op(a) · op(b) + β · c. */
const gemm: Rule = (back) => {
  matMul(back);
  const beta = floatAttribute(back.node, "beta", 1);
  back.pull(2, () => {
    const sum = back.reducedTo(back.cotangent(), back.input(2));
    return beta === 1 ? sum : back.emit("Mul", [sum, back.scalar(beta)]);
  });
};

export const PRODUCT_RULES: Partial<Record<string, Rule>> = { MatMul: matMul, FusedMatMul: matMul, Gemm: gemm };
