import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { float, GraphBuilder, int, ints, string } from "../../gpu-worker/graph/builder.ts";
import { differentiate } from "../../gpu-worker/graph/gradient/gradient.ts";
import type { Attribute, Value } from "../../gpu-worker/graph/graph.ts";
import { type Expression, gradientError, type Tensor } from "../fixtures/finite-differences.ts";

const MICROSOFT = "com.microsoft";
/** Of the gradient's largest element: float32's rounding of the loss, divided by the step of the differences. */
const TOLERANCE = 2e-3;

const size = fc.integer({ min: 1, max: 3 });
const shapeOf = (rank: number) => fc.array(size, { minLength: rank, maxLength: rank });
const anyShape = fc.integer({ min: 1, max: 4 }).chain(shapeOf);
const seed = fc.integer({ min: 0, max: 2 ** 31 });

/** Values between −1.5 and 1.5 that differ from each other and from 0, where kinks would be. */
function tensor(shape: number[], from: number, offset = 0): Tensor {
  const count = shape.reduce((product, length) => product * length, 1);
  const spread = (index: number) => (((index + 1) * 0.618034 + from / 2 ** 31) % 1) * 3 - 1.5;
  return { shape, values: Float32Array.from({ length: count }, (_, index) => spread(index) + offset) };
}

const broadcastOf = (shapes: number[][]): number[] => {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) =>
    Math.max(...shapes.map((shape) => shape[axis - rank + shape.length] ?? 1)),
  );
};

/** Shapes that broadcast: suffixes of one, with some sizes 1. */
const broadcastPair = anyShape.chain((shape) => {
  const part = fc
    .tuple(fc.integer({ min: 0, max: shape.length }), fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }))
    .map(([from, single]) => shape.slice(from).map((length, axis) => (single[axis] === true ? 1 : length)));
  return fc.tuple(part, part);
});

async function expectRight<T>(arbitrary: fc.Arbitrary<T>, expression: (drawn: T) => Expression, runs = 25) {
  await fc.assert(
    fc.asyncProperty(arbitrary, async (drawn) => {
      expect(await gradientError(expression(drawn))).toBeLessThan(TOLERANCE);
    }),
    { numRuns: runs },
  );
}

const node =
  (operator: string, attributes: Record<string, Attribute> = {}, domain: "" | typeof MICROSOFT = "") =>
  (builder: GraphBuilder, inputs: Value[]) =>
    builder.node(operator, "op", inputs, { attributes, domain });

const withIntegers =
  (operator: string, constants: number[][], attributes: Record<string, Attribute> = {}) =>
  (builder: GraphBuilder, inputs: Value[]) =>
    builder.node(operator, "op", [...inputs, ...constants.map((c, index) => builder.integers(`c${index}`, c))], {
      attributes,
    });

const transposedIf = (condition: boolean, shape: number[]) =>
  condition ? [...shape.slice(0, -2), ...shape.slice(-2).toReversed()] : shape;

describe("the gradient of", () => {
  it.each(["Add", "Sub", "Mul", "Div"])("%s, operands broadcast", async (operator) => {
    await expectRight(fc.tuple(broadcastPair, seed), ([[a, b], from]) => ({
      inputs: [tensor(a, from), tensor(b, from + 1e8, operator === "Div" ? 3 : 0)],
      shape: broadcastOf([a, b]),
      build: node(operator),
    }));
  });

  it.each(["Identity", "Neg", "Exp", "Sigmoid", "Softplus", "Log", "Sqrt"])("%s", async (operator) => {
    await expectRight(fc.tuple(anyShape, seed), ([shape, from]) => ({
      inputs: [tensor(shape, from, ["Log", "Sqrt"].includes(operator) ? 2.5 : 0)],
      shape,
      build: node(operator),
    }));
  });

  it.each([1, 1.702])("SiLU and its kin, α = %s", async (alpha) => {
    await expectRight(fc.tuple(anyShape, seed), ([shape, from]) => ({
      inputs: [tensor(shape, from)],
      shape,
      build: node("QuickGelu", { alpha: float(alpha) }, MICROSOFT),
    }));
  });

  it("a choice between two, operands broadcast", async () => {
    await expectRight(fc.tuple(broadcastPair, seed), ([[a, b], from]) => ({
      inputs: [tensor(a, from), tensor(b, from + 1e8), tensor(broadcastOf([a, b]), from + 2e8)],
      by: [0, 1],
      shape: broadcastOf([a, b]),
      build: (builder, [x, y, chooser]) => {
        const zero = builder.constant("zero", "float32", [], Float32Array.of(0));
        const condition = builder.node("Greater", "condition", [chooser ?? zero, zero]);
        return builder.node("Where", "op", [condition, x ?? zero, y ?? zero]);
      },
    }));
  });

  it("a matrix product, batched on either side or both, repeated over the batch or not", async () => {
    const drawn = fc.tuple(
      fc.tuple(size, size, size),
      fc.constantFrom("none", "left", "right", "both", "single"),
      seed,
    );
    await expectRight(drawn, ([[m, k, n], batch, from]) => {
      const [left, right] = {
        none: [[], []],
        left: [[2, 3], []],
        right: [[], [3]],
        both: [
          [2, 3],
          [2, 3],
        ],
        single: [
          [2, 1],
          [2, 3],
        ],
      }[batch] as [number[], number[]];
      return {
        inputs: [tensor([...left, m, k], from), tensor([...right, k, n], from + 1e8)],
        shape: [...broadcastOf([left, right]), m, n],
        build: node("MatMul"),
      };
    });
  });

  it("a matrix product with factors transposed and scaled", async () => {
    const drawn = fc.tuple(fc.tuple(size, size, size), fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()), seed);
    await expectRight(drawn, ([[m, k, n], [transA, transB, batched], from]) => {
      const batch = batched ? [2] : [];
      return {
        inputs: [
          tensor(transposedIf(transA, [...batch, m, k]), from),
          tensor(transposedIf(transB, [...(transA ? batch : []), k, n]), from + 1e8),
        ],
        shape: [...batch, m, n],
        build: node(
          "FusedMatMul",
          { transA: int(Number(transA)), transB: int(Number(transB)), alpha: float(0.5) },
          MICROSOFT,
        ),
      };
    });
  });

  it("Gemm", async () => {
    await expectRight(fc.tuple(fc.tuple(size, size, size), fc.boolean(), fc.boolean(), seed), (drawn) => {
      const [[m, k, n], transA, transB, from] = drawn;
      const attributes = {
        transA: int(Number(transA)),
        transB: int(Number(transB)),
        alpha: float(0.5),
        beta: float(2),
      };
      const [a, b] = [transposedIf(transA, [m, k]), transposedIf(transB, [k, n])];
      return {
        inputs: [tensor(a, from), tensor(b, from + 1e8), tensor([n], from + 2e8)],
        shape: [m, n],
        build: node("Gemm", attributes),
      };
    });
  });

  it.each(["ReduceSum", "ReduceMean", "ReduceMax"])("%s over any axes", async (operator) => {
    const drawn = fc.tuple(shapeOf(3), fc.subarray([0, 1, -1], { minLength: 1 }), fc.boolean(), seed);
    await expectRight(drawn, ([shape, axes, keepdims, from]) => ({
      inputs: [tensor(shape, from)],
      shape: shape.flatMap((length, axis) =>
        axes.some((reduced) => (reduced + 3) % 3 === axis) ? (keepdims ? [1] : []) : [length],
      ),
      build: withIntegers(operator, [axes], { keepdims: int(Number(keepdims)) }),
    }));
  });

  it.each(["Softmax", "LogSoftmax"])("%s over any axis", async (operator) => {
    await expectRight(fc.tuple(shapeOf(3), fc.constantFrom(0, 1, 2, -1), seed), ([shape, axis, from]) => ({
      inputs: [tensor(shape, from)],
      shape,
      build: node(operator, { axis: int(axis) }),
    }));
  });

  it("some of the log-probabilities of a row", async () => {
    await expectRight(
      fc.tuple(fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 3 }), seed),
      (drawn) => {
        const [tokens, from] = drawn;
        return {
          inputs: [tensor([tokens.length, 5], from)],
          shape: [tokens.length, 1],
          build: (builder, inputs) => {
            const logits = builder.node("LogSoftmax", "logits", inputs, { attributes: { axis: int(-1) } });
            const wanted = builder.constant("tokens", "int64", [tokens.length, 1], BigInt64Array.from(tokens, BigInt));
            return builder.node("GatherElements", "op", [logits, wanted], { attributes: { axis: int(1) } });
          },
        };
      },
    );
  });

  it("RMSNorm, by its input and its weight", async () => {
    await expectRight(fc.tuple(shapeOf(3), seed), ([shape, from]) => ({
      inputs: [tensor(shape, from), tensor(shape.slice(-1), from + 1e8)],
      shape,
      build: node("SimplifiedLayerNormalization", { epsilon: float(0.1) }),
    }));
  });

  it("a rotation to a row's positions", async () => {
    await expectRight(fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 2 }), seed), (drawn) => {
      const [length, heads, from] = drawn;
      return {
        inputs: [tensor([2, length, heads * 4], from)],
        shape: [2, length, heads * 4],
        build: (builder, inputs) => {
          const table = (name: string, wave: (angle: number) => number) =>
            builder.constant(
              name,
              "float32",
              [4, 2],
              Float32Array.from({ length: 8 }, (_, index) => wave(index)),
            );
          const start = builder.integers("start", [0]);
          const rotary = [...inputs, start, table("cos", Math.cos), table("sin", Math.sin)];
          return builder.node("RotaryEmbedding", "op", rotary, { domain: MICROSOFT });
        },
      };
    });
  });

  it("a reshaped value", async () => {
    await expectRight(fc.tuple(shapeOf(3), seed), ([shape, from]) => ({
      inputs: [tensor(shape, from)],
      shape: [shape[0] ?? 1, (shape[1] ?? 1) * (shape[2] ?? 1)],
      build: withIntegers("Reshape", [[0, -1]]),
    }));
  });

  it("a transposed value", async () => {
    const orders = fc.constantFrom([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]);
    await expectRight(fc.tuple(shapeOf(3), orders, seed), ([shape, order, from]) => ({
      inputs: [tensor(shape, from)],
      shape: order.map((axis) => shape[axis] ?? 1),
      build: node("Transpose", { perm: ints(...order) }),
    }));
  });

  it("parts of a split value, of which one is not used", async () => {
    await expectRight(fc.tuple(size, size, size, size, seed), ([rows, a, b, c, from]) => ({
      inputs: [tensor([rows, a + b + c], from)],
      shape: [rows, a + c],
      build: (builder, [x]) => {
        const sizes = builder.integers("sizes", [a, b, c]);
        const axis = { attributes: { axis: int(-1) } };
        const [first, , last] = builder.nodes("Split", "op", [x ?? sizes, sizes], ["a", "b", "c"], axis);
        return builder.node("Concat", "joined", [last, first], axis);
      },
    }));
  });

  it("joined values", async () => {
    await expectRight(fc.tuple(shapeOf(2), size, fc.constantFrom(0, 1, -1), seed), ([shape, other, axis, from]) => {
      const second = shape.with(axis, other);
      return {
        inputs: [tensor(shape, from), tensor(second, from + 1e8)],
        shape: shape.with(axis, (shape.at(axis) ?? 0) + other),
        build: node("Concat", { axis: int(axis) }),
      };
    });
  });

  it("a slice", async () => {
    const drawn = fc.tuple(size, fc.integer({ min: 0, max: 2 }), fc.integer({ min: 1, max: 3 }), seed);
    await expectRight(drawn, ([rows, start, length, from]) => ({
      inputs: [tensor([rows, 5], from)],
      shape: [rows, length],
      build: withIntegers("Slice", [[start], [start + length], [-1], [1]]),
    }));
  });

  it("gathered rows, some of them more than once", async () => {
    const indices = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 6 });
    await expectRight(fc.tuple(indices, fc.constantFrom(0, 1), size, seed), ([wanted, axis, other, from]) => ({
      inputs: [tensor(axis === 0 ? [4, other] : [other, 4], from)],
      shape: axis === 0 ? [wanted.length, other] : [other, wanted.length],
      build: withIntegers("Gather", [wanted], { axis: int(axis) }),
    }));
  });

  it("sums over the rows that elements belong to", async () => {
    await expectRight(
      fc.tuple(fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 6 }), seed),
      (drawn) => {
        const [rows, from] = drawn;
        return {
          inputs: [tensor([3], from), tensor([rows.length], from + 1e8)],
          shape: [3],
          build: (builder, [sums, terms]) => {
            const places = builder.integers("rows", rows);
            return builder.node("ScatterElements", "op", [sums ?? places, places, terms ?? places], {
              attributes: { axis: int(0), reduction: string("add") },
            });
          },
        };
      },
    );
  });

  it("a value that is used several times", async () => {
    await expectRight(fc.tuple(shapeOf(2), seed), ([shape, from]) => ({
      inputs: [tensor(shape, from)],
      shape,
      build: (builder, [x]) => {
        const value = x ?? { name: "" };
        const square = builder.node("Mul", "square", [value, value]);
        return builder.node("Sum", "op", [builder.node("Mul", "cube", [square, value])]);
      },
    }));
  });
});

describe("differentiation", () => {
  const scalar = { attributes: { keepdims: int(0) } };

  it("names the operator that it has no rule for", async () => {
    const builder = new GraphBuilder("refused");
    const x = builder.input("x", "float32", [2]);
    const loss = builder.node("ReduceSum", "loss", [builder.node("Erf", "layer.erf", [x])], scalar);
    await expect(differentiate(builder.finish(), [{ loss, weight: 1 }], [x])).rejects.toThrow("Erf (layer.erf)");
  });

  it("leaves alone what does not lie between the parameters and the loss", async () => {
    const builder = new GraphBuilder("partial");
    const [x, frozen] = [builder.input("x", "float32", [2]), builder.input("frozen", "float32", [2])];
    const factor = builder.node("Exp", "factor", [frozen]);
    const loss = builder.node("ReduceSum", "loss", [builder.node("Mul", "product", [x, factor])], scalar);
    await differentiate(builder.finish(), [{ loss, weight: 1 }], [x]);
    const added = builder.finish().nodes.slice(3);
    expect(added.map(({ operator }) => operator)).toEqual(["Shape", "Expand", "Mul"]);
  });

  it("says which value the loss does not depend on", async () => {
    const builder = new GraphBuilder("independent");
    const [x, other] = [builder.input("x", "float32", [2]), builder.input("other", "float32", [2])];
    const loss = builder.node("ReduceSum", "loss", [x], scalar);
    await expect(differentiate(builder.finish(), [{ loss, weight: 1 }], [other])).rejects.toThrow("other");
  });

  it("refuses shapes of which it cannot tell whether one is repeated", async () => {
    const builder = new GraphBuilder("dynamic");
    const [x, y] = [builder.input("x", "float32", ["rows", 2]), builder.input("y", "float32", ["others", 2])];
    const loss = builder.node("ReduceSum", "loss", [builder.node("Add", "sum", [x, y])], scalar);
    await expect(differentiate(builder.finish(), [{ loss, weight: 1 }], [x])).rejects.toThrow("broadcast");
  });
});
