import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LogprobQueue } from "../../../gpu-worker/engine/logprob-queue.ts";
import { tokenLogprobs } from "../../../gpu-worker/engine/logprobs.ts";

const entry = (token: number) => ({ token, logprob: -1, top: [] });

describe("log-probabilities", () => {
  it("are the logarithms of the probabilities, the most likely tokens first", () => {
    const logits = Float32Array.of(0.1, 0.4, 0.2, 0.3).map((p) => Math.log(p) + 7);
    const { token, logprob, top } = tokenLogprobs(logits, 2, 3);
    expect(token).toBe(2);
    expect(logprob).toBeCloseTo(Math.log(0.2), 5);
    expect(top.map((alternative) => alternative.token)).toEqual([1, 3, 2]);
    expect(top[0]?.logprob).toBeCloseTo(Math.log(0.4), 5);
  });

  it("list no alternatives where none were asked for, and all tokens of a small vocabulary", () => {
    expect(tokenLogprobs(Float32Array.of(1, 2), 0, 0).top).toEqual([]);
    expect(tokenLogprobs(Float32Array.of(1, 2), 0, 20).top).toHaveLength(2);
  });

  it("sum to probability 1 and are sorted, the lower id first of equals", () => {
    const logit = fc.oneof(fc.float({ min: -90, max: 90, noNaN: true }), fc.constantFrom(0, 5));
    fc.assert(
      fc.property(
        fc.array(logit, { minLength: 1, maxLength: 300, size: "max" }),
        fc.integer({ min: 1, max: 20 }),
        (values, count) => {
          const logits = Float32Array.from(values);
          const all = tokenLogprobs(logits, 0, logits.length).top;
          expect(all.reduce((total, { logprob }) => total + Math.exp(logprob), 0)).toBeCloseTo(1, 6);
          const sorted = [...logits.keys()].sort((a, b) => (logits[b] ?? 0) - (logits[a] ?? 0) || a - b);
          expect(all.map(({ token }) => token)).toEqual(sorted);
          expect(tokenLogprobs(logits, 0, count).top).toEqual(all.slice(0, count));
        },
      ),
    );
  });
});

describe("the queue of log-probabilities", () => {
  it("lets a token's out with the first of its text", () => {
    const queue = new LogprobQueue();
    queue.push(entry(1), "one E");
    expect(queue.release(4)).toEqual([entry(1)]);
    queue.push(entry(2), "NT");
    expect(queue.release(3)).toEqual([entry(2)]);
  });

  it("keeps back tokens of which nothing went out", () => {
    const queue = new LogprobQueue();
    queue.push(entry(1), "E");
    expect(queue.release(0)).toEqual([]);
    queue.push(entry(2), "N");
    expect(queue.release(1)).toEqual([entry(1)]);
    expect(queue.flush()).toEqual([entry(2)]);
    expect(queue.flush()).toEqual([]);
  });

  it("lets the tokens of one character out together", () => {
    const queue = new LogprobQueue();
    queue.push(entry(1), "");
    expect(queue.release(0)).toEqual([]);
    queue.push(entry(2), "é");
    expect(queue.release(1)).toEqual([entry(1), entry(2)]);
  });
});
