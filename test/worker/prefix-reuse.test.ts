import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Engine } from "../../gpu-worker/engine/engine.ts";
import { DecoderSession } from "../../gpu-worker/runtime/decoder-session.ts";
import { samplingSchema } from "../../schema/api/chat.ts";
import { TINY_CONFIG, tinyDecoder } from "../fixtures/tiny-llama.ts";
import { tinyTokenizer } from "../fixtures/tiny-tokenizer.ts";

const tokens = tinyTokenizer().tokenByteTable();

let session: DecoderSession;

beforeAll(async () => {
  session = new DecoderSession(await tinyDecoder("fp32"), TINY_CONFIG, 1);
});
afterAll(() => session.release());

const engineWith = (prefixBytes: number) =>
  new Engine(
    session,
    { tokens, eosIds: new Set() },
    { rows: 8, kvBytes: 2 ** 30, prefixBytes, mixedTokens: 16, prefillTokens: 32 },
  );

const text = (length: number, seed: number) =>
  Array.from({ length }, (_, index) => 3 + ((index * 37 + seed * 101) % 256));
let count = 0;

/** Takes the most likely token in effect, without asking for a reproducible answer. */
const NEARLY_GREEDY = samplingSchema.parse({ temperature: 1e-6 });

/** Submits prompts at once and runs them to their ends. */
async function answers(engine: Engine, prompts: number[][], maxTokens = 12, steps = Number.POSITIVE_INFINITY) {
  const sampling = NEARLY_GREEDY;
  const results = prompts.map((prompt) => ({ id: `r${++count}`, prompt, text: "", cached: -1 }));
  for (const { id, prompt } of results) engine.submit({ id, prompt, sampling, maxTokens });
  let prefilled = 0;
  for (let step = 0; engine.busy && step < steps; step++) {
    const report = await engine.step();
    prefilled += report.prefillTokens;
    for (const event of report.events) {
      const result = results.find(({ id }) => id === event.id);
      if (result === undefined) continue;
      if (event.kind === "started") result.cached = event.cachedTokens;
      if (event.kind === "advanced") result.text += event.text;
    }
  }
  return { results, prefilled };
}

describe("a conversation that was read before", () => {
  const conversation = text(100, 1);
  const labelled = (level: number) => [...conversation, 7, 8, 40 + level, 9];

  it("is read again from where it changed, and answered as if it were new", async () => {
    const engine = engineWith(2 ** 24);
    await answers(engine, [labelled(0)]);
    for (const level of [1, 2]) {
      const { results, prefilled } = await answers(engine, [labelled(level)]);
      // The conversation and the label line up to the level; the last token is always computed.
      expect(results[0]?.cached).toBe(conversation.length + 2);
      expect(prefilled).toBe(2);
      const fresh = await answers(engineWith(0), [labelled(level)]);
      expect(fresh.results[0]?.cached).toBe(0);
      expect(results[0]?.text).toBe(fresh.results[0]?.text);
    }
  });

  it("is shared by requests that run at the same time, in slots that move", async () => {
    const engine = engineWith(2 ** 24);
    await answers(engine, [conversation]);
    const prompts = [labelled(0), text(5, 9), labelled(3), [...conversation.slice(0, 50), 77, 78], [4]];
    const together = await answers(engine, prompts);
    for (const [index, prompt] of prompts.entries()) {
      const alone = await answers(engineWith(0), [prompt]);
      expect(together.results[index]?.text).toBe(alone.results[0]?.text);
    }
    expect(together.results.map(({ cached }) => cached)).toEqual([100, 0, 100, 50, 0]);
  });

  it("is read once for all who ask about it at the same time", async () => {
    const engine = engineWith(2 ** 24);
    const prompts = [0, 1, 2, 3].map(labelled);
    const { results, prefilled } = await answers(engine, prompts);
    expect(results.map(({ cached }) => cached)).toEqual([0, 102, 102, 102]);
    expect(prefilled).toBe(104 + 3 * 2);
    for (const [index, prompt] of prompts.entries()) {
      expect(results[index]?.text).toBe((await answers(engineWith(0), [prompt])).results[0]?.text);
    }
  });

  it("does not hold up those who wait for it when its first reader goes away", async () => {
    const engine = engineWith(2 ** 24);
    const { results } = await answers(engine, [labelled(0), labelled(1)], 12, 1);
    expect(results.map(({ cached }) => cached)).toEqual([0, -1]);
    engine.cancel(`r${count - 1}`);
    while (engine.busy) await engine.step();
    const { results: again } = await answers(engine, [labelled(1)]);
    expect(again[0]?.cached).toBe(103);
  });

  it("is known with its answer, for the next turn", async () => {
    const engine = engineWith(2 ** 24);
    // A tiny random model may answer bytes that are no text; the next turn would then tokenise differently.
    const turns = [1, 2, 3, 4, 5, 6].map((seed) => text(100, seed));
    const { results } = await answers(engine, turns, 30);
    const readable = results.find((result) => result.text !== "" && !result.text.includes("\uFFFD"));
    const spoken = tinyTokenizer().encodeText(readable?.text ?? "");
    const next = await answers(engine, [[...(readable?.prompt ?? []), ...spoken, 11, 12]]);
    expect(next.results[0]?.cached).toBeGreaterThan(102);
  });

  it("is known as far as it was read when it was cancelled", async () => {
    const engine = engineWith(2 ** 24);
    await answers(engine, [conversation], 12, 1);
    expect(engine.cancel(`r${count}`)).toMatchObject({ completionTokens: 0 });
    const { results } = await answers(engine, [conversation]);
    expect(results[0]?.cached).toBe(32);
    expect(results[0]?.text).toBe((await answers(engineWith(0), [conversation])).results[0]?.text);
  });

  it("is computed anew when it was forgotten for others", async () => {
    const engine = engineWith(2 ** 19);
    await answers(engine, [conversation]);
    for (const seed of [2, 3, 4, 5, 6]) await answers(engine, [text(200, seed)]);
    const { results } = await answers(engine, [conversation]);
    expect(results[0]?.cached).toBe(0);
    expect(results[0]?.text).toBe((await answers(engineWith(0), [conversation])).results[0]?.text);
  });
});

describe("a request with a seed, or at temperature 0", () => {
  const long = text(200, 3);
  const prompt = [...long, 9, 8, 7];

  /** Runs one request for a single token, and says how many prompt tokens were known. */
  async function known(engine: Engine, tokens: number[], options: object): Promise<number> {
    const id = `r${++count}`;
    engine.submit({ id, prompt: tokens, sampling: samplingSchema.parse(options), maxTokens: 1 });
    let cached = -1;
    while (engine.busy) {
      for (const event of (await engine.step()).events) if (event.kind === "started") cached = event.cachedTokens;
    }
    return cached;
  }

  it("uses what was read, but for the last two tokens: a single one would be computed differently", async () => {
    for (const options of [{ temperature: 0 }, { temperature: 1, seed: 1 }]) {
      const engine = engineWith(2 ** 24);
      expect(await known(engine, long, options)).toBe(0);
      expect(await known(engine, prompt, options)).toBe(200);
      expect(await known(engine, long.slice(0, 100), options)).toBe(98);
    }
  });

  it("uses nothing that was generated, or read a token at a time", async () => {
    const engine = engineWith(2 ** 24);
    await known(engine, long, { temperature: 1 });
    // All but the last of these is known, which makes that one a piece of its own.
    expect(await known(engine, long.slice(0, 150), { temperature: 1 })).toBe(149);
    expect(await known(engine, [...long, 7], { temperature: 1 })).toBe(200);
    expect(await known(engine, [...long, 7, 8, 9, 10], { temperature: 1 })).toBe(201);
    expect(await known(engine, [...long, 7, 8, 9, 11, 12], { temperature: 0 })).toBeLessThan(201);
  });
});
