import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Engine, type EngineEvent } from "../../gpu-worker/engine/engine.ts";
import type { GenerationRequest } from "../../gpu-worker/engine/generation.ts";
import type { BankedAdapter } from "../../gpu-worker/engine/sequence.ts";
import { DecoderSession } from "../../gpu-worker/runtime/decoder-session.ts";
import { samplingSchema } from "../../schema/api/chat.ts";
import { tinyUpdates } from "../fixtures/tiny-adapter.ts";
import { tinyBank, writeTinyUpdates } from "../fixtures/tiny-bank.ts";
import { TINY_CONFIG, tinyDecoder } from "../fixtures/tiny-llama.ts";
import { tinyTokenizer } from "../fixtures/tiny-tokenizer.ts";

const LAYOUT = "int8-blocks";
const bank = tinyBank(8);
let session: DecoderSession;
let one: BankedAdapter;
let two: BankedAdapter;

beforeAll(async () => {
  session = new DecoderSession(await tinyDecoder(LAYOUT, TINY_CONFIG, { adapterBank: true }), TINY_CONFIG, 1, { bank });
  one = { ...(await writeTinyUpdates(bank, LAYOUT, 0, tinyUpdates(11, 5), 2)), key: "content of one" };
  two = { ...(await writeTinyUpdates(bank, LAYOUT, 1, tinyUpdates(12, 20), 2)), key: "content of two" };
});
afterAll(() => session.release());

const newEngine = () =>
  new Engine(
    session,
    { tokens: tinyTokenizer().tokenByteTable(), eosIds: new Set<number>() },
    { rows: 8, kvBytes: 2 ** 30, prefixBytes: 2 ** 24, mixedTokens: 16, prefillTokens: 32 },
  );

const PROMPT = Array.from({ length: 80 }, (_, index) => 3 + ((index * 37) % 256));
const AGAINST = [...PROMPT.slice(0, 64), ...PROMPT.slice(0, 16)];

const request = (id: string, adapter: BankedAdapter | null, more: Partial<GenerationRequest> = {}) => ({
  id,
  prompt: PROMPT,
  sampling: samplingSchema.parse({ seed: 3, temperature: 0.9 }),
  maxTokens: 16,
  ...(adapter !== null && { adapter }),
  ...more,
});

/** What came of each request: its text, and the tokens of its prompt that were known. */
async function answers(engine: Engine, requests: GenerationRequest[]) {
  const outcomes = new Map(requests.map(({ id }) => [id, { text: "", cached: -1 }]));
  const hear = (event: EngineEvent) => {
    const outcome = outcomes.get(event.id);
    if (outcome === undefined) return;
    if (event.kind === "started") outcome.cached = event.cachedTokens;
    if (event.kind === "advanced") outcome.text += event.text;
    if (event.kind === "failed") expect.fail(event.reason);
  };
  for (const submitted of requests) engine.submit(submitted);
  while (engine.busy) for (const event of (await engine.step()).events) hear(event);
  return outcomes;
}
const alone = async (one: GenerationRequest) => (await answers(newEngine(), [one])).get(one.id)?.text;

describe("requests with adapters in one engine", () => {
  it("get in one batch what each gets alone, under guidance too", async () => {
    const guidance = { prompt: AGAINST, strength: 2 };
    const requests = [
      request("plain", null),
      request("one", one),
      request("two", two),
      request("one, guided", one, { guidance }),
      request("two, guided", two, { guidance }),
    ];
    const together = await answers(newEngine(), requests);
    const texts = requests.map(({ id }) => together.get(id)?.text);
    expect(new Set(texts).size).toBe(requests.length);
    for (const [index, wanted] of requests.entries()) expect(await alone(wanted), wanted.id).toBe(texts[index]);
  });

  it("never take keys and values that were computed under another, nor under the same name with other content", async () => {
    const engine = newEngine();
    const cachedOf = async (adapter: BankedAdapter | null, more: Partial<GenerationRequest> = {}) => {
      const outcome = (await answers(engine, [request("request", adapter, more)])).get("request");
      return { cached: outcome?.cached, text: outcome?.text };
    };
    const wanted = [await alone(request("request", null)), await alone(request("request", one))];
    expect(await cachedOf(null)).toEqual({ cached: 0, text: wanted[0] });
    expect(await cachedOf(one)).toEqual({ cached: 0, text: wanted[1] });
    expect((await cachedOf(null)).cached).toBeGreaterThan(0);
    const again = await cachedOf(one);
    expect(again.cached).toBeGreaterThan(0);
    expect(again.text).toBe(wanted[1]);
    // Other content, at the very place of the first.
    await bank.write(one, async () => null);
    const reloaded = { ...one, key: "other content" };
    expect(await cachedOf(reloaded)).toEqual({ cached: 0, text: wanted[0] });
    await writeTinyUpdates(bank, LAYOUT, one.first, tinyUpdates(11, 5), 2);
    // The prompt that guidance steers away from was read with the adapter as well, and is known to it alone.
    const guidance = { prompt: AGAINST, strength: 2 };
    await cachedOf(two, { guidance });
    expect((await cachedOf(two, { prompt: AGAINST })).cached).toBeGreaterThan(64);
    expect((await cachedOf(one, { prompt: AGAINST })).cached).toBeLessThanOrEqual(64);
  });

  it("do not wait for one another's prompts", async () => {
    const engine = newEngine();
    const outcomes = await answers(engine, [request("one", one), request("two", two), request("two again", two)]);
    expect([...outcomes.values()].map(({ cached }) => cached)).toEqual([0, 0, expect.any(Number)]);
    expect(outcomes.get("two again")?.cached).toBeGreaterThan(0);
  });
});
