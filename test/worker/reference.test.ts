import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decoderBatch } from "../../gpu-worker/engine/batch.ts";
import { KvPool } from "../../gpu-worker/engine/kv-pool.ts";
import { argmax } from "../../gpu-worker/engine/sampler.ts";
import type { DecoderConfig } from "../../gpu-worker/graph/decoder.ts";
import type { Precision } from "../../gpu-worker/graph/layers.ts";
import { readDecoderConfig } from "../../gpu-worker/model/config.ts";
import { openGguf } from "../../gpu-worker/model/gguf.ts";
import { createTokenizer, type Tokenizer } from "../../gpu-worker/model/tokenizer.ts";
import { ensureDecoder } from "../../gpu-worker/runtime/decoder-files.ts";
import { DecoderSession } from "../../gpu-worker/runtime/decoder-session.ts";
import reference from "../fixtures/reference-tokens.json" with { type: "json" };
import { testModelPath } from "./test-model.ts";

/** Logits this close are a tie that the rounding of activations decides; llama.cpp rounds them to int8, as our int8 graph does. */
const NEAR_TIE = 0.5;

/** Of all tokens, the share that may be such ties. */
const TIES = 0.05;

let config: DecoderConfig;
let tokenizer: Tokenizer;
let directory: string;
const sessions = new Map<Precision, DecoderSession>();

beforeAll(async () => {
  const path = testModelPath();
  directory = await mkdtemp(join(tmpdir(), "attune-reference-"));
  const gguf = await openGguf(path);
  config = await readDecoderConfig(gguf);
  tokenizer = createTokenizer(gguf.metadata);
  await gguf.close();
  sessions.set("int8", await DecoderSession.load(await ensureDecoder(path), config));
  // Half a gigabyte that nobody needs again.
  sessions.set(
    "fp32",
    await DecoderSession.load(await ensureDecoder(path, { precision: "fp32", cache: directory }), config),
  );
}, 120_000);

afterAll(async () => {
  for (const session of sessions.values()) await session.release();
  await rm(directory, { recursive: true, force: true });
});

/** Logits that predict tokens `from` … of a text, [count][vocab]. */
async function predictions(precision: Precision, tokens: number[], from: number): Promise<Float32Array[]> {
  const pool = new KvPool(config);
  const input = tokens.slice(0, -1);
  pool.fit(1, input.length, []);
  const count = tokens.length - from;
  const batch = decoderBatch(config, pool, 0, [{ tokens: input, computed: 0 }]);
  const logitRows = BigInt64Array.from({ length: count }, (_, index) => BigInt(from - 1 + index));
  const output = await sessions.get(precision)?.run({ ...batch, logitRows });
  return Array.from({ length: count }, (_, row) =>
    (output?.logits ?? new Float32Array()).subarray(row * config.vocab, (row + 1) * config.vocab),
  );
}

async function perplexity(precision: Precision, tokens: number[]): Promise<number> {
  const rows = await predictions(precision, tokens, 1);
  const losses = rows.map((logits, index) => {
    const peak = logits[argmax(logits)] ?? 0;
    let total = 0;
    for (const logit of logits) total += Math.exp(logit - peak);
    return Math.log(total) + peak - (logits[tokens[index + 1] ?? 0] ?? 0);
  });
  return Math.exp(losses.reduce((sum, loss) => sum + loss, 0) / losses.length);
}

describe.each<Precision>(["fp32", "int8"])("the %s graph of the real model", (precision) => {
  it("takes the tokens llama.cpp takes, but for ties that rounding decides", { timeout: 60_000 }, async () => {
    let ties = 0;
    let total = 0;
    for (const { prompt, tokens, gaps } of reference.chats) {
      const rows = await predictions(precision, [...prompt, ...tokens], prompt.length);
      for (const [index, logits] of rows.entries()) {
        total += 1;
        const ours = argmax(logits);
        const theirs = tokens[index] ?? 0;
        if (ours === theirs) continue;
        ties += 1;
        const where = `token ${index} after ${JSON.stringify(tokenizer.decode(prompt.slice(-12)))}`;
        expect((logits[ours] ?? 0) - (logits[theirs] ?? 0), `${where}: our gap`).toBeLessThan(NEAR_TIE);
        expect(gaps[index], `${where}: llama.cpp's gap`).toBeLessThan(NEAR_TIE);
      }
    }
    expect(total).toBeGreaterThan(300);
    expect(ties / total).toBeLessThan(TIES);
  });
});

describe("int8 weights", () => {
  it("cost less than one per cent of perplexity against float32", { timeout: 60_000 }, async () => {
    const text = await readFile(new URL("../fixtures/perplexity.txt", import.meta.url), "utf8");
    const tokens = tokenizer.encodeText(text);
    expect(tokens.length).toBeGreaterThan(500);
    const exact = await perplexity("fp32", tokens);
    const quantised = await perplexity("int8", tokens);
    expect(exact).toBeGreaterThan(2);
    expect(quantised / exact).toBeLessThan(1.01);
    expect(quantised / exact).toBeGreaterThan(0.99);
  });
});
