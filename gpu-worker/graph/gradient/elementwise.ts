import type { Value } from "../graph.ts";
import { floatAttribute } from "./infer-shapes.ts";
import type { Pullback, Rule } from "./pullback.ts";

/** Rules of operators that work element by element; operands that were broadcast get the sum over the axes they were repeated along. */

const identity: Rule = (back) => back.pull(0, () => back.cotangent());

const add: Rule = (back) => {
  for (const index of back.node.inputs.keys()) {
    back.pull(index, () => back.reducedTo(back.cotangent(), back.input(index)));
  }
};

const subtract: Rule = (back) => {
  back.pull(0, () => back.reducedTo(back.cotangent(), back.input(0)));
  back.pull(1, () => back.emit("Neg", [back.reducedTo(back.cotangent(), back.input(1))]));
};

const multiply: Rule = (back) => {
  const [a, b] = [back.input(0), back.input(1)];
  back.pull(0, () => back.reducedTo(back.emit("Mul", [back.cotangent(), b]), a));
  back.pull(1, () => back.reducedTo(back.emit("Mul", [back.cotangent(), a]), b));
};

/** y = a / b: ∂y/∂a = 1/b, ∂y/∂b = −y/b. */
const divide: Rule = (back) => {
  const [a, b] = [back.input(0), back.input(1)];
  back.pull(0, () => back.reducedTo(back.emit("Div", [back.cotangent(), b]), a));
  back.pull(1, () => {
    const whole = back.emit("Div", [back.emit("Mul", [back.cotangent(), back.output(0)]), b]);
    return back.emit("Neg", [back.reducedTo(whole, b)]);
  });
};

/** dx = dy · y′, with y′ in terms of the input and the output. */
const unary =
  (derivative: (back: Pullback, input: Value, output: Value) => Value): Rule =>
  (back) =>
    back.pull(0, () => back.emit("Mul", [back.cotangent(), derivative(back, back.input(0), back.output(0))]));

const complement = (back: Pullback, value: Value) => back.emit("Sub", [back.scalar(1), value]);

/** y = x · σ(αx): y′ = σ + α · y · (1 − σ). */
const quickGelu: Rule = unary((back, x, y) => {
  const alpha = floatAttribute(back.node, "alpha", 1.702);
  const scaled = (value: Value) => (alpha === 1 ? value : back.emit("Mul", [value, back.scalar(alpha)]));
  const sigmoid = back.emit("Sigmoid", [scaled(x)]);
  return back.emit("Add", [sigmoid, scaled(back.emit("Mul", [y, complement(back, sigmoid)]))]);
});

const where: Rule = (back) => {
  const [condition, yes, no] = [back.input(0), back.input(1), back.input(2)];
  const zero = back.scalar(0);
  back.pull(1, () => back.reducedTo(back.emit("Where", [condition, back.cotangent(), zero]), yes));
  back.pull(2, () => back.reducedTo(back.emit("Where", [condition, zero, back.cotangent()]), no));
};

export const ELEMENTWISE_RULES: Partial<Record<string, Rule>> = {
  Identity: identity,
  Add: add,
  Sum: add,
  Sub: subtract,
  Mul: multiply,
  Div: divide,
  Neg: (back) => back.pull(0, () => back.emit("Neg", [back.cotangent()])),
  Exp: unary((_, __, y) => y),
  Log: (back) => back.pull(0, () => back.emit("Div", [back.cotangent(), back.input(0)])),
  Sqrt: (back) =>
    back.pull(0, () => {
      const half = back.emit("Mul", [back.cotangent(), back.scalar(0.5)]);
      return back.emit("Div", [half, back.output(0)]);
    }),
  Sigmoid: unary((back, _, y) => back.emit("Mul", [y, complement(back, y)])),
  Softplus: unary((back, x) => back.emit("Sigmoid", [x])),
  QuickGelu: quickGelu,
  Where: where,
};
