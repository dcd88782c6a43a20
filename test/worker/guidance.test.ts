import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Engine, type EngineOptions } from "../../gpu-worker/engine/engine.ts";
import type { GenerationRequest } from "../../gpu-worker/engine/generation.ts";
import { DecoderSession } from "../../gpu-worker/runtime/decoder-session.ts";
import { samplingSchema } from "../../schema/api/chat.ts";
import { referenceLogits } from "../fixtures/reference-llama.ts";
import { TINY_CONFIG, tinyDecoder, tinyWeights } from "../fixtures/tiny-llama.ts";
import { tinyTokenizer } from "../fixtures/tiny-tokenizer.ts";

const tokenizer = tinyTokenizer();
const OPTIONS: EngineOptions = { rows: 8, kvBytes: 2 ** 28, prefixBytes: 2 ** 24, mixedTokens: 16, prefillTokens: 32 };
const CONVERSATION = Array.from({ length: 70 }, (_, index) => 3 + ((index * 37) % 256));
const STEERED = [...CONVERSATION, 40, 41, 42];
const AGAINST = [...CONVERSATION, 50];

let session: DecoderSession;

beforeAll(async () => {
  session = new DecoderSession(await tinyDecoder("fp32"), TINY_CONFIG, 1);
});
afterAll(() => session.release());

const engineWith = (options: Partial<EngineOptions> = {}) =>
  new Engine(session, { tokens: tokenizer.tokenByteTable(), eosIds: new Set() }, { ...OPTIONS, ...options });

function request(id: string, prompt: number[], strength?: number, maxTokens = 10): GenerationRequest {
  const guidance = strength === undefined ? {} : { guidance: { prompt: AGAINST, strength } };
  return { id, prompt, sampling: samplingSchema.parse({ temperature: 0 }), maxTokens, ...guidance };
}

async function run(engine: Engine, requests: GenerationRequest[]) {
  const texts = new Map(requests.map(({ id }) => [id, ""]));
  for (const entry of requests) engine.submit(entry);
  let [prefilled, mostRows] = [0, 0];
  while (engine.busy) {
    const report = await engine.step();
    prefilled += report.prefillTokens;
    mostRows = Math.max(mostRows, report.decodeRows);
    for (const event of report.events) {
      if (event.kind === "advanced") texts.set(event.id, (texts.get(event.id) ?? "") + event.text);
    }
  }
  return { texts, prefilled, mostRows };
}

const answer = async (entry: GenerationRequest) => (await run(engineWith(), [entry])).texts.get(entry.id);

/** Greedy guidance by its formula, on a plain implementation of the model. */
function reference(strength: number, count: number): string {
  const drawn: number[] = [];
  for (let step = 0; step < count; step++) {
    const [steered, against] = [STEERED, AGAINST].map(
      (prompt) => referenceLogits(TINY_CONFIG, tinyWeights(), [...prompt, ...drawn]).at(-1) ?? [],
    );
    const mixed = (against ?? []).map((base, token) => base + strength * ((steered?.[token] ?? 0) - base));
    drawn.push(mixed.indexOf(Math.max(...mixed)));
  }
  return tokenizer.decode(drawn);
}

describe("guidance", () => {
  it("draws from the difference that the label line makes, amplified", async () => {
    const guided = await answer(request("guided", STEERED, 2.5, 6));
    expect(reference(2.5, 6).startsWith(guided ?? "?")).toBe(true);
    expect(guided).not.toBe(await answer(request("plain", STEERED, undefined, 6)));
  });

  it("is plain decoding at strength 1", async () => {
    expect(await answer(request("guided", STEERED, 1))).toBe(await answer(request("plain", STEERED)));
  });

  it("gives everybody in a batch what they would get alone", async () => {
    const requests = [
      request("a", STEERED, 2),
      request("b", [9, 8, 7]),
      request("c", [...STEERED, 44], 1.5, 25),
      request("d", CONVERSATION, undefined, 30),
    ];
    const { texts, mostRows } = await run(engineWith(), requests);
    expect(mostRows).toBe(6);
    for (const entry of requests) expect(texts.get(entry.id)).toBe(await answer(entry));
  });

  it("reads what both prompts share once", async () => {
    const sampling = samplingSchema.parse({ temperature: 1e-6 });
    const { prefilled } = await run(engineWith(), [{ ...request("guided", STEERED, 2), sampling }]);
    // The other prompt's last token, alone behind the shared ones, joins a decoding batch.
    expect(prefilled).toBe(STEERED.length);
  });

  it("takes both rows together or waits, and frees both", async () => {
    const engine = engineWith({ rows: 3 });
    const requests = [request("a", STEERED, 2, 5), request("b", STEERED, 2, 5), request("c", [5, 6], undefined, 5)];
    const { texts, mostRows } = await run(engine, requests);
    expect(mostRows).toBeLessThanOrEqual(3);
    for (const entry of requests) expect(texts.get(entry.id)).toBe(await answer(entry));

    engine.submit(request("long", STEERED, 2, 200));
    for (let step = 0; step < 5; step++) await engine.step();
    expect(engine.cancel("long")).toMatchObject({ kind: "cancelled" });
    expect(engine.busy).toBe(false);
    expect((await run(engine, [request("d", [5, 6], undefined, 5)])).texts.get("d")).toBe(texts.get("c"));
  });
});
