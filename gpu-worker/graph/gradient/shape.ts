import type { Dimension } from "../graph.ts";

/** Sizes of a value's axes; a product of dynamic sizes is `3*batch*sequence`, factors in alphabetical order. */
export type Shape = readonly Dimension[];

type Factors = { count: number; symbols: string[] };

function factorsOf(dimension: Dimension): Factors {
  if (typeof dimension === "number") return { count: dimension, symbols: [] };
  const parts = dimension.split("*");
  const [first = "", ...others] = parts;
  return /^\d+$/.test(first) ? { count: Number(first), symbols: others } : { count: 1, symbols: parts };
}

function dimensionOf({ count, symbols }: Factors): Dimension {
  if (symbols.length === 0) return count;
  return [...(count === 1 ? [] : [String(count)]), ...symbols.toSorted()].join("*");
}

/** What several axes have as one. */
export function productOf(shape: Shape): Dimension {
  const factors = shape.map(factorsOf);
  return dimensionOf({
    count: factors.reduce((product, { count }) => product * count, 1),
    symbols: factors.flatMap(({ symbols }) => symbols),
  });
}

/** @throws Error where the division is not exact */
function quotientOf(dividend: Dimension, divisor: Dimension): Dimension {
  const { count, symbols } = factorsOf(dividend);
  const by = factorsOf(divisor);
  const remaining = [...symbols];
  for (const symbol of by.symbols) {
    const index = remaining.indexOf(symbol);
    if (index < 0) throw new Error(`${dividend} is no multiple of ${divisor}`);
    remaining.splice(index, 1);
  }
  if (count % by.count !== 0) throw new Error(`${dividend} is no multiple of ${divisor}`);
  return dimensionOf({ count: count / by.count, symbols: remaining });
}

/** The shape that a Reshape to `target` makes: 0 keeps an axis, −1 takes what remains. */
export function reshaped(shape: Shape, target: readonly number[]): Shape {
  const kept = target.map((size, axis) => (size === 0 ? (shape[axis] ?? 0) : size));
  const known = kept.filter((size) => size !== -1);
  return kept.map((size) => (size === -1 ? quotientOf(productOf(shape), productOf(known)) : size));
}

/** The Reshape target that makes `to` of `from` whatever the dynamic sizes are; `null` where zeros and one −1 cannot say it. */
export function reshapeTarget(from: Shape, to: Shape): number[] | null {
  const target = to.map((size, axis) => (typeof size === "number" ? size : size === from[axis] ? 0 : -1));
  return target.filter((size) => size === -1).length > 1 ? null : target;
}

/** The shape of an element-wise operation on both (NumPy's rules). @throws Error where sizes differ, or might */
export function broadcast(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const left = a[axis - rank + a.length] ?? 1;
    const right = b[axis - rank + b.length] ?? 1;
    if (left === right || right === 1) return left;
    if (left === 1) return right;
    throw new Error(`[${a}] and [${b}] cannot be broadcast`);
  });
}

/** Axes of `from` along which a value of shape `to` was repeated: those it has not, and those where its size is 1. */
export function repeatedAxes(from: Shape, to: Shape): { missing: number[]; single: number[] } {
  const lead = from.length - to.length;
  const missing = Array.from({ length: lead }, (_, axis) => axis);
  const single = to.flatMap((size, axis) => (size === 1 && from[lead + axis] !== 1 ? [axis] : []));
  return { missing, single };
}

/** An axis counted from the front. */
export const fromFront = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);
