import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { argmax } from "../../gpu-worker/engine/sampler.ts";
import type { DecoderConfig } from "../../gpu-worker/graph/decoder.ts";
import type { Precision } from "../../gpu-worker/graph/precision.ts";
import { readDecoderConfig } from "../../gpu-worker/model/config.ts";
import { openGguf } from "../../gpu-worker/model/gguf.ts";
import { createTokenizer, type Tokenizer } from "../../gpu-worker/model/tokenizer.ts";
import { ensureDecoder } from "../../gpu-worker/runtime/decoder-files.ts";
import { DecoderSession } from "../../gpu-worker/runtime/decoder-session.ts";
import reference from "../fixtures/reference-tokens.json" with { type: "json" };
import { testModelPath } from "./test-model.ts";

/** Logits this close are a tie that rounding decides: llama.cpp's of activations to int8, and beside it our int8 graph's own. */
const NEAR_TIE: Record<Precision, number> = { fp32: 0.5, int8: 1 };

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
  sessions.set("int8", new DecoderSession(await ensureDecoder(path), config));
  // Half a gigabyte that nobody needs again.
  sessions.set("fp32", new DecoderSession(await ensureDecoder(path, { precision: "fp32", cache: directory }), config));
}, 120_000);

afterAll(async () => {
  for (const session of sessions.values()) session.release();
  await rm(directory, { recursive: true, force: true });
});

/** Logits that predict tokens `from` … of a text, [count][vocab]. */
function predictions(precision: Precision, tokens: number[], from: number): Float32Array[] {
  const session = sessions.get(precision);
  if (session === undefined) throw new Error(`There is no ${precision} session`);
  const input = tokens.slice(0, -1);
  const cache = session.allocate(1, input.length);
  const logitRows = Array.from({ length: tokens.length - from }, (_, index) => from - 1 + index);
  const logits = session.run({ cache, firstSlot: 0, tokens: [input], computed: [0], logitRows });
  session.free(cache);
  return logitRows.map((_, row) => logits.subarray(row * config.vocab, (row + 1) * config.vocab));
}

function perplexity(precision: Precision, tokens: number[]): number {
  const rows = predictions(precision, tokens, 1);
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
      const rows = predictions(precision, [...prompt, ...tokens], prompt.length);
      for (const [index, logits] of rows.entries()) {
        total += 1;
        const ours = argmax(logits);
        const theirs = tokens[index] ?? 0;
        if (ours === theirs) continue;
        ties += 1;
        const where = `token ${index} after ${JSON.stringify(tokenizer.decode(prompt.slice(-12)))}`;
        expect((logits[ours] ?? 0) - (logits[theirs] ?? 0), `${where}: our gap`).toBeLessThan(NEAR_TIE[precision]);
        expect(gaps[index], `${where}: llama.cpp's gap`).toBeLessThan(NEAR_TIE[precision]);
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
    const exact = perplexity("fp32", tokens);
    const quantised = perplexity("int8", tokens);
    expect(exact).toBeGreaterThan(2);
    expect(quantised / exact).toBeLessThan(1.01);
    expect(quantised / exact).toBeGreaterThan(0.99);
  });
});
