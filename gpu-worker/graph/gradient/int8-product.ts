import { MICROSOFT } from "../layers.ts";
import type { Rule } from "./pullback.ts";

/**
 * An operator that no graph computes: it stands, while a graph is differentiated, for a product whose gradient by its first input is
 * computed in int8. Inputs: x [..., inputs] · codes int8 [outputs, inputs] · scales float32 [inputs].
 */
export const STRAIGHT_THROUGH = "StraightThroughProduct";

/** uint8 code of 0, and the step between codes of values from −1 to 1. */
const ZERO = 128;
const STEP = 1 / 127;

/**
 * dx = dy · W, with dy rounded to 8 bits, each token's by its own largest (SwitchBack: Wortsman et al. 2023, section 2.2). Where that is 0,
 * whatever codes 0/0 gets are multiplied by 0 again.
 */
const straightThrough: Rule = (back) =>
  back.pull(0, () => {
    const dy = back.cotangent();
    const [step, zero] = [back.scalar(STEP), back.byte(ZERO)];
    const largest = back.emit("ReduceMax", [back.emit("Abs", [dy]), back.integers([-1])]);
    const codes = back.emit("QuantizeLinear", [back.emit("Div", [dy, largest]), step, zero]);
    const product = back.emit("MatMulIntegerToFloat", [codes, back.input(1), step, back.input(2), zero], {
      domain: MICROSOFT,
    });
    return back.emit("Mul", [product, largest]);
  });

export const INT8_RULES: Partial<Record<string, Rule>> = { [STRAIGHT_THROUGH]: straightThrough };
