import type { Attribute, Dimension, Graph, GraphNode } from "../graph.ts";
import { STRAIGHT_THROUGH } from "./int8-product.ts";
import { broadcast, fromFront, productOf, reshaped, type Shape } from "./shape.ts";

/** What is known of a graph's values before it runs. */
export type Facts = {
  shapes: Map<string, Shape>;
  /** Small int64 constants: shapes, axes, sizes. */
  integers: Map<string, number[]>;
};

export const intAttribute = ({ attributes }: GraphNode, name: string, fallback: number): number =>
  attributes[name]?.kind === "int" ? attributes[name].value : fallback;

export const floatAttribute = ({ attributes }: GraphNode, name: string, fallback: number): number =>
  attributes[name]?.kind === "float" ? attributes[name].value : fallback;

const integersOf = (attribute: Attribute | undefined): readonly number[] | null =>
  attribute?.kind === "ints" ? attribute.value : null;

/** The axis order of a Transpose, by default the reverse. */
export const permutationOf = (node: GraphNode, rank: number): readonly number[] =>
  integersOf(node.attributes.perm) ?? Array.from({ length: rank }, (_, axis) => rank - 1 - axis);

/** Axes that a reduction sums over, counted from the front; all where none are named. */
export function reducedAxes(node: GraphNode, shape: Shape, facts: Facts): number[] {
  const axes = facts.integers.get(node.inputs[1] ?? "");
  return axes?.map((axis) => fromFront(axis, shape.length)) ?? shape.map((_, axis) => axis);
}

/** Shapes of a node's inputs in, of its outputs out. */
type Inference = (inputs: Shape[], node: GraphNode, facts: Facts) => Shape[];

const same: Inference = ([first = []], { outputs }) => outputs.map(() => first);
const elementwise: Inference = (inputs) => [inputs.reduce(broadcast, [])];

const matMul: Inference = ([a = [], b = []], node) => {
  if (a.length < 2 || b.length < 2) throw new Error("Vectors are not multiplied here; give them a second axis");
  const rows = a.at(intAttribute(node, "transA", 0) === 1 ? -1 : -2) ?? 0;
  const columns = b.at(intAttribute(node, "transB", 0) === 1 ? -2 : -1) ?? 0;
  return [[...broadcast(a.slice(0, -2), b.slice(0, -2)), rows, columns]];
};

const reduction: Inference = ([shape = []], node, facts) => {
  const axes = reducedAxes(node, shape, facts);
  if (intAttribute(node, "keepdims", 1) === 1) return [shape.map((size, axis) => (axes.includes(axis) ? 1 : size))];
  return [shape.filter((_, axis) => !axes.includes(axis))];
};

const withAxis = (shape: Shape, axis: number, size: Dimension): Shape =>
  shape.with(fromFront(axis, shape.length), size);

/** Operators whose results' shapes the backward pass may need. */
const INFERENCES: Partial<Record<string, Inference>> = {
  Identity: same,
  Neg: same,
  Exp: same,
  Log: same,
  Sqrt: same,
  Sigmoid: same,
  Softplus: same,
  QuickGelu: same,
  Softmax: same,
  LogSoftmax: same,
  SimplifiedLayerNormalization: same,
  RotaryEmbedding: same,
  ScatterElements: same,
  Cast: same,
  Add: elementwise,
  Sum: elementwise,
  Sub: elementwise,
  Mul: elementwise,
  Div: elementwise,
  Where: elementwise,
  Greater: elementwise,
  MatMul: matMul,
  [STRAIGHT_THROUGH]: ([x = [], codes = []]) => [withAxis(x, -1, codes[0] ?? 0)],
  FusedMatMul: matMul,
  Gemm: matMul,
  ReduceSum: reduction,
  ReduceMean: reduction,
  ReduceMax: reduction,
  Reshape: ([shape = []], node, { integers }) => {
    const target = integers.get(node.inputs[1] ?? "");
    return target === undefined ? [] : [reshaped(shape, target)];
  },
  Transpose: ([shape = []], node) => [permutationOf(node, shape.length).map((axis) => shape[axis] ?? 0)],
  Split: ([shape = []], node, { integers }) => {
    const sizes = integers.get(node.inputs[1] ?? "");
    return sizes?.map((size) => withAxis(shape, intAttribute(node, "axis", 0), size)) ?? [];
  },
  Concat: (shapes, node) => {
    const [first = []] = shapes;
    const axis = fromFront(intAttribute(node, "axis", 0), first.length);
    const sizes = shapes.map((shape) => shape[axis] ?? 0);
    const numbers = sizes.filter((size) => typeof size === "number");
    if (numbers.length < sizes.length) return [];
    return [
      withAxis(
        first,
        axis,
        numbers.reduce((sum, size) => sum + size, 0),
      ),
    ];
  },
  Slice: ([shape = []], node, facts) => {
    const slices = slicesOf(node, shape, facts);
    return slices === null ? [] : [shape.map((size, axis) => slices[axis]?.size ?? size)];
  },
  Gather: ([shape = [], indices = []], node) => {
    const axis = fromFront(intAttribute(node, "axis", 0), shape.length);
    return [[...shape.slice(0, axis), ...indices, ...shape.slice(axis + 1)]];
  },
  /** Of 8-bit values along their first axis. */
  GatherBlockQuantized: ([shape = [], indices = []]) => [[...indices, ...shape.slice(1)]],
  GatherElements: ([, indices = []]) => [indices],
};

/** What a Slice takes of each axis, and what it leaves before and after; `null` for an axis it leaves whole. */
export function slicesOf(
  node: GraphNode,
  shape: Shape,
  { integers }: Facts,
): ({ start: number; size: number; rest: number } | null)[] | null {
  const [starts, ends, axes, steps] = node.inputs.slice(1).map((name) => integers.get(name));
  if (starts === undefined || ends === undefined || steps?.some((step) => step !== 1)) return null;
  const slices: ({ start: number; size: number; rest: number } | null)[] = shape.map(() => null);
  for (const [index, start] of starts.entries()) {
    const axis = fromFront(axes?.[index] ?? index, shape.length);
    const size = shape[axis];
    if (typeof size !== "number") return null;
    const clamp = (place: number) => Math.min(size, Math.max(0, place < 0 ? place + size : place));
    const [from, to] = [clamp(start), clamp(ends[index] ?? size)];
    slices[axis] = { start: from, size: Math.max(0, to - from), rest: size - Math.max(from, to) };
  }
  return slices;
}

/** Shapes of all values that operators of the table make of values whose shapes are known. */
export async function inferFacts(graph: Graph): Promise<Facts> {
  const facts: Facts = { shapes: new Map(), integers: new Map() };
  for (const { name, shape } of graph.inputs) facts.shapes.set(name, shape);
  for (const { name, shape, type, load } of graph.initializers) {
    facts.shapes.set(name, shape);
    if (type !== "int64" || Number(productOf(shape)) > 64) continue;
    const values = await load();
    if (values instanceof BigInt64Array) facts.integers.set(name, Array.from(values, Number));
  }
  for (const node of graph.nodes) {
    const inputs = node.inputs.filter((name) => name !== "").map((name) => facts.shapes.get(name));
    const known = inputs.filter((shape) => shape !== undefined);
    if (known.length < inputs.length) continue;
    for (const [index, shape] of inferred(node, known, facts).entries()) {
      const name = node.outputs[index] ?? "";
      if (name !== "") facts.shapes.set(name, shape);
    }
  }
  return facts;
}

function inferred(node: GraphNode, inputs: Shape[], facts: Facts): Shape[] {
  try {
    return INFERENCES[node.operator]?.(inputs, node, facts) ?? [];
  } catch (error) {
    throw new Error(`${node.operator} ${node.name}: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  }
}
