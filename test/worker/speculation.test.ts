import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { Engine } from "../../gpu-worker/engine/engine.ts";
import type { GenerationRequest } from "../../gpu-worker/engine/generation.ts";
import { DecoderSession } from "../../gpu-worker/runtime/decoder-session.ts";
import { samplingSchema } from "../../schema/api/chat.ts";
import { TINY_CONFIG, tinyDecoder } from "../fixtures/tiny-llama.ts";
import { tinyTokenizer } from "../fixtures/tiny-tokenizer.ts";

const tokens = tinyTokenizer().tokenByteTable();
/** Practically the most likely token each time, without the promise of the same last bits. */
const COLD = { temperature: 0.001 };
const PROMPT = [70, 71, 72, 73, 74, 75, 76, 77];

let session: DecoderSession;
let count = 0;

beforeAll(async () => {
  session = new DecoderSession(await tinyDecoder("fp32"), TINY_CONFIG, 1);
});
afterAll(() => session.release());

const request = (sampling: object, fields: Partial<GenerationRequest> = {}): GenerationRequest => ({
  id: `r${++count}`,
  prompt: PROMPT,
  sampling: samplingSchema.parse({ ignore_eos: true, ...sampling }),
  maxTokens: 60,
  ...fields,
});

function run(requests: GenerationRequest[], cancelAt = Number.POSITIVE_INFINITY) {
  const options = { rows: 4, kvBytes: 2 ** 26, prefixBytes: 2 ** 22, mixedTokens: 16, prefillTokens: 32 };
  const engine = new Engine(session, { tokens, eosIds: new Set() }, options);
  for (const one of requests) engine.submit(one);
  const texts = new Map<string, string>();
  let [steps, drafted, accepted, generated] = [0, 0, 0, 0];
  while (engine.busy) {
    if (steps === cancelAt) for (const { id } of requests) engine.cancel(id);
    const report = engine.step();
    steps++;
    drafted += report.draftTokens;
    accepted += report.acceptedTokens;
    for (const event of report.events) {
      if (event.kind !== "advanced") continue;
      generated++;
      texts.set(event.id, (texts.get(event.id) ?? "") + event.text);
    }
  }
  return { texts: requests.map(({ id }) => texts.get(id)), steps, drafted, accepted, generated };
}

describe("a request that decodes alone", () => {
  it("gets the same tokens in fewer passes where its text repeats itself", () => {
    const plain = run([request({ temperature: 0 })]);
    const guessed = run([request(COLD)]);
    expect(guessed.texts).toEqual(plain.texts);
    expect(plain).toMatchObject({ steps: 60, drafted: 0, generated: 60 });
    expect(guessed.generated).toBe(60);
    expect(guessed.accepted).toBeGreaterThan(5);
    expect(guessed.steps).toBe(60 - guessed.accepted);
  });

  it("ends where it must, in the middle of a draft as well", () => {
    const whole = run([request(COLD)]).texts[0] ?? "";
    for (let maxTokens = 1; maxTokens < 40; maxTokens++) {
      const { texts, generated } = run([request(COLD, { maxTokens })]);
      expect(generated).toBe(maxTokens);
      expect(whole.startsWith(texts[0]?.replace(/\uFFFD+$/, "") ?? "?")).toBe(true);
    }
    const stop = whole.slice(20, 23);
    expect(run([request({ ...COLD, stop: [stop] })]).texts[0]).toBe(whole.slice(0, whole.indexOf(stop)));
  });

  it("draws the very tokens that it would draw without guessing", () => {
    let accepted = 0;
    for (let seed = 0; seed < 40; seed++) {
      const sampling = { temperature: 0.7, top_k: 3 };
      const seeded = run([request({ ...sampling, seed })]);
      // Without a seed the system gives one: here the same.
      vi.spyOn(crypto, "getRandomValues").mockImplementation((state) => {
        if (state instanceof Uint32Array) state.set([seed, 0, 0x9e3779b9, 1]);
        return state;
      });
      const guessed = run([request(sampling)]);
      vi.restoreAllMocks();
      expect(guessed.texts).toEqual(seeded.texts);
      expect(seeded.drafted).toBe(0);
      accepted += guessed.accepted;
    }
    expect(accepted).toBeGreaterThan(20);
  });

  it("frees its row when it is cancelled", () => {
    expect(run([request(COLD, { maxTokens: 300 })], 20).steps).toBeLessThan(25);
  });
});

describe("nobody guesses", () => {
  it("for requests that decode together", () => {
    const { drafted, texts } = run([request(COLD), request(COLD, { prompt: [...PROMPT, 80] })]);
    expect(drafted).toBe(0);
    expect(texts).toHaveLength(2);
  });

  it("for requests with a seed or at temperature 0, whose last bits are promised, or under guidance", () => {
    const guidance = { prompt: [...PROMPT.slice(1), 90, 91], strength: 1.5 };
    expect(run([request({ temperature: 0 })]).drafted).toBe(0);
    expect(run([request({ temperature: 0.001, seed: 3 })]).drafted).toBe(0);
    expect(run([request(COLD, { guidance })]).drafted).toBe(0);
  });
});
