import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Engine, type EngineEvent, type EngineOptions } from "../../gpu-worker/engine/engine.ts";
import type { GenerationRequest } from "../../gpu-worker/engine/generation.ts";
import { kvPoolBytes } from "../../gpu-worker/engine/kv-pool.ts";
import { DecoderSession } from "../../gpu-worker/runtime/decoder-session.ts";
import { samplingSchema } from "../../schema/api/chat.ts";
import { referenceLogits } from "../fixtures/reference-llama.ts";
import { TINY_CONFIG, tinyDecoder, tinyWeights } from "../fixtures/tiny-llama.ts";
import { tinyTokenizer } from "../fixtures/tiny-tokenizer.ts";

const tokens = tinyTokenizer().tokenByteTable();
const OPTIONS: EngineOptions = { rows: 8, kvBytes: 2 ** 30, prefixBytes: 0, mixedTokens: 16, prefillTokens: 32 };

let session: DecoderSession;

beforeAll(async () => {
  session = new DecoderSession(await tinyDecoder("fp32"), TINY_CONFIG, 1);
});
afterAll(() => session.release());

const engineWith = (options: Partial<EngineOptions> = {}, eosIds: number[] = []) =>
  new Engine(session, { tokens, eosIds: new Set(eosIds) }, { ...OPTIONS, ...options });

const prompt = (length: number, seed = 1) =>
  Array.from({ length }, (_, index) => 3 + ((index * 37 + seed * 101) % 256));

function request(
  id: string,
  length: number,
  options: Partial<GenerationRequest["sampling"]> & { maxTokens?: number } = {},
) {
  const { maxTokens = 20, ...sampling } = options;
  const defaults = samplingSchema.parse({ seed: 5 });
  return { id, prompt: prompt(length, id.length), sampling: { ...defaults, ...sampling }, maxTokens };
}

type Outcome = { text: string; completionTokens: number; end: string; failure?: string };

/** Runs until nothing is left, telling `between` after each step what it did. */
async function run(engine: Engine, between: (step: number, events: EngineEvent[]) => void = () => {}) {
  const outcomes = new Map<string, Outcome>();
  let mostRows = 0;
  for (let step = 0; engine.busy; step++) {
    const report = await engine.step();
    mostRows = Math.max(mostRows, report.decodeRows);
    for (const event of report.events) {
      if (event.kind === "started" || event.kind === "expired") continue;
      const outcome = outcomes.get(event.id) ?? { text: "", completionTokens: 0, end: "" };
      outcome.completionTokens = event.completionTokens;
      if (event.kind === "advanced") {
        outcome.text += event.text;
        outcome.end = event.finish ?? "";
      } else outcome.end = event.kind;
      outcomes.set(event.id, outcome);
    }
    between(step, report.events);
  }
  return { outcomes, mostRows };
}

async function alone(sequence: GenerationRequest): Promise<Outcome | undefined> {
  const engine = engineWith();
  engine.submit(sequence);
  return (await run(engine)).outcomes.get(sequence.id);
}

describe("the engine", () => {
  it("continues a prompt with the tokens a plain implementation finds most likely", async () => {
    const engine = engineWith();
    const sequence = request("greedy", 40, { temperature: 0, maxTokens: 12 });
    engine.submit(sequence);
    const { outcomes } = await run(engine);
    const all = [...sequence.prompt];
    for (let count = 0; count < 12; count++) {
      const logits = referenceLogits(TINY_CONFIG, tinyWeights(), all).at(-1) ?? [];
      all.push(logits.indexOf(Math.max(...logits)));
    }
    const wanted = tinyTokenizer().decode(all.slice(sequence.prompt.length));
    expect(wanted.startsWith(outcomes.get("greedy")?.text ?? "?")).toBe(true);
    expect(outcomes.get("greedy")).toMatchObject({ completionTokens: 12, end: "length" });
  });

  it("decodes requests together and gives each what it would get alone", async () => {
    const sequences = ["a", "bb", "ccc", "dddd", "eeeee"].map((id, index) => request(id, 5 + 23 * index));
    const engine = engineWith();
    for (const sequence of sequences) engine.submit(sequence);
    const { outcomes, mostRows } = await run(engine);
    expect(mostRows).toBe(5);
    for (const sequence of sequences) expect(outcomes.get(sequence.id)).toEqual(await alone(sequence));
  });

  it("gives the others what they would get alone when some leave early and new ones join", async () => {
    const engine = engineWith();
    const first = request("a", 10, { maxTokens: 40 });
    const cancelled = request("bb", 10, { maxTokens: 40 });
    const short = request("ccc", 30, { maxTokens: 3 });
    const late = request("dddd", 60, { maxTokens: 25 });
    const cancelledInPrefill = request("eeeee", 300, { maxTokens: 25 });
    for (const sequence of [first, cancelled, short]) engine.submit(sequence);
    const { outcomes } = await run(engine, (step) => {
      if (step === 6) expect(engine.cancel("bb")).toMatchObject({ kind: "cancelled" });
      if (step === 8) engine.submit(cancelledInPrefill);
      if (step === 9) engine.submit(late);
      if (step === 11) expect(engine.cancel("eeeee")).toMatchObject({ completionTokens: 0 });
    });
    for (const sequence of [first, short, late]) expect(outcomes.get(sequence.id)).toEqual(await alone(sequence));
    expect(outcomes.get("eeeee")).toBeUndefined();
  });

  it("makes a request wait while all rows are taken, and serves it after", async () => {
    const engine = engineWith({ rows: 2 });
    const sequences = ["a", "bb", "ccc"].map((id) => request(id, 10, { maxTokens: 5 }));
    for (const sequence of sequences) engine.submit(sequence);
    const started: string[] = [];
    const { outcomes, mostRows } = await run(engine, (_, events) =>
      started.push(...events.filter(({ kind }) => kind === "started").map(({ id }) => id)),
    );
    expect(mostRows).toBe(2);
    expect(started).toEqual(["a", "bb", "ccc"]);
    for (const sequence of sequences) expect(outcomes.get(sequence.id)).toEqual(await alone(sequence));
  });

  it("never takes more memory for keys and values than it may", async () => {
    const kvBytes = kvPoolBytes(TINY_CONFIG)(2, 128);
    const engine = engineWith({ kvBytes });
    for (const id of ["a", "bb", "ccc", "dddd"]) engine.submit(request(id, 90, { maxTokens: 30 }));
    let most = 0;
    while (engine.busy) most = Math.max(most, (await engine.step()).kvBytes);
    expect(most).toBeLessThanOrEqual(kvBytes);
    expect(most).toBeGreaterThan(0);
  });

  it("takes a waiting request out of the queue", async () => {
    const engine = engineWith({ rows: 1 });
    engine.submit(request("a", 5, { maxTokens: 3 }));
    engine.submit(request("bb", 5));
    await engine.step();
    expect(engine.cancel("bb")).toEqual({ kind: "cancelled", id: "bb", completionTokens: 0 });
    expect(engine.cancel("unknown")).toBeNull();
    const { outcomes } = await run(engine);
    expect([...outcomes.keys()]).toEqual(["a"]);
  });

  it("repeats an answer for the same seed and varies it without", async () => {
    const seeded = [await alone(request("a", 8)), await alone(request("a", 8))];
    expect(seeded[0]).toEqual(seeded[1]);
    const other = await alone(request("a", 8, { seed: 6 }));
    expect(other?.text).not.toBe(seeded[0]?.text);
    const free = [await alone(request("a", 8, { seed: null })), await alone(request("a", 8, { seed: null }))];
    expect(free[0]?.text).not.toBe(free[1]?.text);
  });

  it("ends at an end token, which counts as generated and adds no text", async () => {
    const whole = await alone(request("a", 8, { temperature: 0, maxTokens: 6 }));
    const all = prompt(8, 1);
    const logits = referenceLogits(TINY_CONFIG, tinyWeights(), all).at(-1) ?? [];
    const first = logits.indexOf(Math.max(...logits));
    const engine = engineWith({}, [first]);
    engine.submit(request("a", 8, { temperature: 0, maxTokens: 6 }));
    expect(whole?.completionTokens).toBe(6);
    expect((await run(engine)).outcomes.get("a")).toEqual({ text: "", completionTokens: 1, end: "stop" });
  });

  it("ends before a stop string", async () => {
    const whole = (await alone(request("a", 8, { maxTokens: 30 })))?.text ?? "";
    const stop = whole.slice(10, 13);
    const outcome = await alone(request("a", 8, { maxTokens: 30, stop: [stop] }));
    expect(outcome?.end).toBe("stop");
    expect(outcome?.text).toBe(whole.slice(0, whole.indexOf(stop)));
  });

  it("accepts a prompt of a single token", async () => {
    const engine = engineWith();
    engine.submit(request("a", 30, { maxTokens: 10 }));
    engine.submit(request("bb", 1, { maxTokens: 10 }));
    const { outcomes } = await run(engine);
    expect(outcomes.get("bb")).toEqual(await alone(request("bb", 1, { maxTokens: 10 })));
  });

  it("fails the requests of a forward pass that failed, and goes on", async () => {
    const fail = () => {
      throw new Error("out of memory");
    };
    const broken = new Engine(
      {
        config: TINY_CONFIG,
        kvType: session.kvType,
        allocate: session.allocate.bind(session),
        free: session.free.bind(session),
        run: fail,
      },
      { tokens, eosIds: new Set() },
      OPTIONS,
    );
    broken.submit(request("a", 5));
    const { outcomes } = await run(broken);
    expect(outcomes.get("a")?.end).toBe("failed");
    expect(broken.busy).toBe(false);
  });
});
