/**
 * Whether prompt-lookup speculation would pay: `npm run bench:speculation`. Greedy answers, which repeat themselves most, are made token
 * by token; then it is counted how many passes the same answers take where each pass also checks the tokens that followed the last
 * occurrence of the two latest ones, and what such a pass costs beside one of a single token. The last line of stdout is JSON.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { argmax } from "../../gpu-worker/engine/sampler.ts";
import { readDecoderConfig } from "../../gpu-worker/model/config.ts";
import { openGguf } from "../../gpu-worker/model/gguf.ts";
import { pullModel } from "../../gpu-worker/model/pull.ts";
import { ensureDecoder } from "../../gpu-worker/runtime/decoder-files.ts";
import { DecoderSession } from "../../gpu-worker/runtime/decoder-session.ts";
import chats from "../fixtures/reference-tokens.json" with { type: "json" };
import { describeMachine } from "./engine/machine.ts";
import { rounded, spread } from "./engine/statistics.ts";

const ANSWER_TOKENS = 200;
const DRAFTS = [2, 4, 8];
/** Tokens that have to recur for what followed them to be the draft. */
const KEY = 2;
const ROUNDS = 9;

const model = await pullModel();
const gguf = await openGguf(model);
const config = await readDecoderConfig(gguf);
await gguf.close();
const { isa, cpu, cores } = describeMachine();
const session = new DecoderSession(await ensureDecoder(model), config, cores);

function greedyAnswer(prompt: readonly number[]): number[] {
  const cache = session.allocate(1, prompt.length + ANSWER_TOKENS);
  const tokens = [...prompt];
  for (let computed = 0; tokens.length < prompt.length + ANSWER_TOKENS; ) {
    const pending = tokens.slice(computed);
    const logits = session.run({ cache, firstSlot: 0, tokens: [pending], computed: [computed] });
    computed = tokens.length;
    tokens.push(argmax(logits));
  }
  session.free(cache);
  return tokens.slice(prompt.length);
}

/** The `length` tokens after the last earlier occurrence of the latest {@link KEY}. */
function lookUp(tokens: readonly number[], length: number): number[] {
  for (let start = tokens.length - KEY - 1; start >= 0; start--) {
    if (tokens.slice(-KEY).every((token, index) => token === tokens[start + index])) {
      return tokens.slice(start + KEY, start + KEY + length);
    }
  }
  return [];
}

/** Passes that an answer takes, by the tokens computed in each. */
function passes(prompt: readonly number[], answer: readonly number[], draft: number): number[] {
  const widths: number[] = [];
  for (let made = 0; made < answer.length; ) {
    const guess = lookUp([...prompt, ...answer.slice(0, made)], draft);
    const wrong = guess.findIndex((token, index) => token !== answer[made + index]);
    widths.push(1 + guess.length);
    made += 1 + (wrong < 0 ? guess.length : wrong);
  }
  return widths;
}

/** Milliseconds of a pass of each width behind 256 tokens, the widths in turn. */
function costs(widths: readonly number[]): Map<number, number[]> {
  const cache = session.allocate(1, 512);
  const cost = new Map<number, number[]>(widths.map((width) => [width, []]));
  for (let round = -2; round < ROUNDS; round++) {
    for (const [width, samples] of cost) {
      const began = performance.now();
      session.run({ cache, firstSlot: 0, tokens: [Array(width).fill(100)], computed: [256] });
      if (round >= 0) samples.push(performance.now() - began);
    }
  }
  session.free(cache);
  return cost;
}

const answers = chats.chats.map(({ prompt }) => ({ prompt, answer: greedyAnswer(prompt) }));
const measured = costs(Array.from({ length: Math.max(...DRAFTS) + 1 }, (_, index) => index + 1));
const cost = (width: number) => spread(measured.get(width) ?? []).median;
const drafts = DRAFTS.map((draft) => {
  const all = answers.map(({ prompt, answer }) => passes(prompt, answer, draft));
  const speedups = all.map((widths) => (ANSWER_TOKENS * cost(1)) / widths.reduce((sum, width) => sum + cost(width), 0));
  const count = all.reduce((sum, widths) => sum + widths.length, 0);
  return {
    draft,
    tokens_per_pass: rounded((ANSWER_TOKENS * answers.length) / count),
    pass_cost: rounded(cost(1 + draft) / cost(1)),
    speedup: spread(speedups.map(rounded)),
  };
});
session.release();
const result = { bench: "speculation", isa, cpu, answers: answers.length, answer_tokens: ANSWER_TOKENS, drafts };
const directory = new URL("./results/", import.meta.url);
await mkdir(directory, { recursive: true });
await writeFile(new URL(`speculation-${isa}.json`, directory), `${JSON.stringify(result, null, 1)}\n`);
console.log(JSON.stringify(result));
