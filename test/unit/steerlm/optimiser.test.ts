import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../gpu-worker/engine/random.ts";
import { ParameterSet } from "../../../gpu-worker/runtime/parameter-set.ts";
import { AdamW } from "../../../gpu-worker/steerlm/optimiser/adamw.ts";
import { GradientSum } from "../../../gpu-worker/steerlm/optimiser/gradient-sum.ts";
import { initialiseParameters } from "../../../gpu-worker/steerlm/optimiser/initial-parameters.ts";
import { learningRate } from "../../../gpu-worker/steerlm/optimiser/learning-rate.ts";
import { PYTORCH } from "../../fixtures/pytorch-gradients.ts";

describe("AdamW", () => {
  const { settings, initial, steps } = PYTORCH.adamw;

  it("takes the steps that PyTorch takes", () => {
    const parameters = Float32Array.from(initial);
    const optimiser = new AdamW(initial.length, settings);
    for (const { gradient, after } of steps) {
      optimiser.step(parameters, Float32Array.from(gradient), settings.learningRate);
      for (const [index, value] of after.entries()) expect(parameters[index]).toBeCloseTo(value, 6);
    }
  });

  it("goes on bit for bit from its serialised state", () => {
    const random = seededRandom(3);
    const gradients = Array.from({ length: 10 }, () => Float32Array.from({ length: 33 }, () => random() - 0.5));
    const whole = new AdamW(33, settings);
    const uninterrupted = new Float32Array(33).fill(0.5);
    for (const gradient of gradients) whole.step(uninterrupted, gradient, 0.01);

    const before = new AdamW(33, settings);
    const parameters = new Float32Array(33).fill(0.5);
    for (const gradient of gradients.slice(0, 4)) before.step(parameters, gradient, 0.01);
    const after = new AdamW(33, settings);
    after.restore(before.serialise());
    for (const gradient of gradients.slice(4)) after.step(parameters, gradient, 0.01);
    expect(parameters).toEqual(uninterrupted);
    expect(after.serialise()).toEqual(whole.serialise());
  });

  it("refuses the state of another model", () => {
    const state = new AdamW(4, settings).serialise();
    expect(() => new AdamW(5, settings).restore(state)).toThrow("5 parameters");
  });
});

describe("the learning rate", () => {
  const schedule = { peak: 1e-3, final: 1e-4, warmUp: 10, steps: 100 };

  it("rises to its peak during warm-up and falls to its end along a cosine", () => {
    const rates = Array.from({ length: 100 }, (_, step) => learningRate(schedule, step));
    expect(rates[10]).toBe(1e-3);
    expect(rates.at(-1)).toBeCloseTo(1e-4, 12);
    expect(rates[0]).toBeGreaterThan(0);
    for (let step = 1; step < 100; step++)
      expect(Math.sign((rates[step] ?? 0) - (rates[step - 1] ?? 0))).toBe(step <= 10 ? 1 : -1);
    const middle = { ...schedule, warmUp: 0, steps: 3 };
    expect(learningRate(middle, 1)).toBeCloseTo(5.5e-4, 12);
  });

  it("stays at the end after the last step", () => {
    expect(learningRate(schedule, 1000)).toBeCloseTo(1e-4, 12);
  });
});

describe("a sum of gradients", () => {
  it("is never longer than the norm it is clipped to, and keeps its direction", () => {
    const numbers = fc.array(fc.float({ noNaN: true, min: -100, max: 100 }), { minLength: 2, maxLength: 20 });
    fc.assert(
      fc.property(numbers, fc.double({ min: 0.1, max: 50, noNaN: true }), (values, maxNorm) => {
        const sum = new GradientSum(values.length);
        sum.add(Float32Array.from(values));
        const norm = sum.clip(maxNorm);
        expect(norm).toBeCloseTo(Math.hypot(...values), 3);
        expect(Math.hypot(...sum.values)).toBeLessThanOrEqual(maxNorm * 1.00001);
        const scale = Math.min(1, maxNorm / norm);
        for (const [index, value] of values.entries()) {
          expect(Math.abs((sum.values[index] ?? 0) - (norm === 0 ? 0 : value * scale))).toBeLessThan(1e-4);
        }
      }),
    );
  });

  it("adds up batches until it is cleared", () => {
    const sum = new GradientSum(2);
    sum.add(Float32Array.of(1, 2));
    sum.add(Float32Array.of(3, 4));
    expect([...sum.values]).toEqual([4, 6]);
    sum.clear();
    expect([...sum.values]).toEqual([0, 0]);
  });
});

describe("initial parameters", () => {
  it("change nothing, fill A within ±1/√inputs, and are the same for the same seed", () => {
    const make = (seed: number) => {
      const set = new ParameterSet([
        { name: "q.A", shape: [2, 100] },
        { name: "q.B", shape: [5, 2] },
      ]);
      initialiseParameters(set, seededRandom(seed));
      return set;
    };
    const set = make(1);
    expect(Math.max(...set.part("q.B").values.map(Math.abs))).toBe(0);
    const largest = Math.max(...set.part("q.A").values.map(Math.abs));
    expect(largest).toBeLessThanOrEqual(0.1);
    expect(largest).toBeGreaterThan(0.09);
    expect(make(1).values).toEqual(set.values);
    expect(make(2).values).not.toEqual(set.values);
  });
});
