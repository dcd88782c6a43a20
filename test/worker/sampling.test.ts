import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Engine } from "../../gpu-worker/engine/engine.ts";
import type { GenerationRequest } from "../../gpu-worker/engine/generation.ts";
import type { WeightLayout } from "../../gpu-worker/graph/precision.ts";
import { DecoderSession } from "../../gpu-worker/runtime/decoder-session.ts";
import { type Sampling, samplingSchema } from "../../schema/api/chat.ts";
import { INT8_LAYOUTS } from "../fixtures/int8-layouts.ts";
import { referenceLogits } from "../fixtures/reference-llama.ts";
import { TINY_CONFIG, tinyDecoder, tinyWeights } from "../fixtures/tiny-llama.ts";
import { tinyTokenizer } from "../fixtures/tiny-tokenizer.ts";

const tokenizer = tinyTokenizer();
const vocabulary = { tokens: tokenizer.tokenByteTable(), eosIds: tokenizer.eosIds };
const LIMITS = { rows: 8, kvBytes: 2 ** 30, prefixBytes: 2 ** 24, mixedTokens: 16, prefillTokens: 32 };

/** Every sampling parameter that could make one answer depend on another, were its state not its own. */
const EVERYTHING: Partial<Sampling> = {
  temperature: 0.9,
  top_k: 60,
  top_p: 0.97,
  min_p: 0.002,
  frequency_penalty: 0.3,
  presence_penalty: 0.2,
  repetition_penalty: 1.1,
  logit_bias: { 40: 1.5, 41: -100 },
  min_tokens: 10,
  logprobs: 3,
};

function request(id: string, length: number, options: Partial<Sampling>): GenerationRequest {
  const prompt = Array.from({ length }, (_, index) => 3 + ((index * 37 + id.length * 101) % 256));
  return { id, prompt, sampling: samplingSchema.parse({ ...options }), maxTokens: 30 };
}

const SESSIONS = new Map<WeightLayout, DecoderSession>();
beforeAll(async () => {
  for (const layout of ["fp32", ...INT8_LAYOUTS] as const) {
    SESSIONS.set(layout, new DecoderSession(await tinyDecoder(layout), TINY_CONFIG, 1));
  }
});
afterAll(async () => {
  for (const session of SESSIONS.values()) session.release();
});

function engineOf(layout: WeightLayout): Engine {
  const session = SESSIONS.get(layout);
  if (session === undefined) throw new Error(`There is no ${layout} session`);
  return new Engine(session, vocabulary, LIMITS);
}

/** Runs the requests, each submitted at a step of its own, and returns the text and the log-probabilities of each. */
async function run(layout: WeightLayout, arrivals: { step: number; request: GenerationRequest }[]) {
  const engine = engineOf(layout);
  const answers = new Map<string, { text: string; tokens: number[]; logprobs: number[] }>();
  const due = [...arrivals];
  for (let step = 0; due.length > 0 || engine.busy; step++) {
    for (const arrival of due.filter((candidate) => candidate.step <= step)) {
      due.splice(due.indexOf(arrival), 1);
      engine.submit(arrival.request);
    }
    for (const event of (await engine.step()).events) {
      if (event.kind !== "advanced") continue;
      const answer = answers.get(event.id) ?? { text: "", tokens: [], logprobs: [] };
      answer.text += event.text;
      answer.tokens.push(...(event.logprobs ?? []).map(({ token }) => token));
      answer.logprobs.push(...(event.logprobs ?? []).map(({ logprob }) => logprob));
      answers.set(event.id, answer);
    }
  }
  return answers;
}

describe("a seeded request", () => {
  it.each(["fp32", ...INT8_LAYOUTS] as const)(
    "gets the same tokens whatever else is in the batch, with %s weights",
    async (layout) => {
      const mine = request("mine", 45, { ...EVERYTHING, seed: 7 });
      const alone = (await run(layout, [{ step: 0, request: mine }])).get("mine");
      expect(alone?.tokens.length).toBeGreaterThan(10);
      const mates = [1, 2, 3, 4, 5, 6].map((index) => ({
        step: index * 2,
        request: request(
          "mate".repeat(index),
          1 + 17 * index,
          index % 2 === 0 ? { seed: null } : { ...EVERYTHING, seed: 7 },
        ),
      }));
      for (const step of [0, 3, 9]) {
        const crowded = (await run(layout, [...mates, { step, request: mine }])).get("mine");
        expect(crowded?.text).toBe(alone?.text);
        expect(crowded?.tokens).toEqual(alone?.tokens);
      }
    },
  );
});

describe("log-probabilities", () => {
  it("are those of a plain implementation", async () => {
    const asked = request("greedy", 12, { temperature: 0, logprobs: 5, ignore_eos: true });
    const { tokens = [], logprobs = [] } = (await run("fp32", [{ step: 0, request: asked }])).get("greedy") ?? {};
    expect(tokens).toHaveLength(30);
    const logits = referenceLogits(TINY_CONFIG, tinyWeights(), [...asked.prompt, ...tokens]);
    for (const [index, token] of tokens.entries()) {
      const row = logits[asked.prompt.length - 1 + index] ?? [];
      const total = row.reduce((sum, logit) => sum + Math.exp(logit), 0);
      expect(logprobs[index]).toBeCloseTo((row[token] ?? 0) - Math.log(total), 3);
    }
  });
});
