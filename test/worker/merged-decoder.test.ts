import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { ensureDecoderMeanwhile } from "../../gpu-worker/runtime/decoder-build.ts";
import { ensureDecoder } from "../../gpu-worker/runtime/decoder-files.ts";
import { DecoderSession } from "../../gpu-worker/runtime/decoder-session.ts";
import { referenceLogits } from "../fixtures/reference-llama.ts";
import { mergedByHand, TINY_ADAPTER_CONFIG, tinyUpdates, writeTinyAdapter } from "../fixtures/tiny-adapter.ts";
import { TINY_CONFIG, tinyWeights, writeTinyModel } from "../fixtures/tiny-llama.ts";

const TOKENS = [5, 100, 42, 7, 250, 99, 3, 180, 64, 11];

let model: Awaited<ReturnType<typeof writeTinyModel>>;
let adapter: string;

beforeAll(async () => {
  model = await writeTinyModel();
  vi.stubEnv("ATTUNE_CACHE_DIR", model.directory);
  adapter = await writeTinyAdapter(join(model.directory, "adapter"));
});
afterAll(() => model.remove());

describe("a decoder with an adapter merged in", () => {
  /** Logits after the last token. */
  function logitsOf(directory: string): number[] {
    const session = new DecoderSession(directory, TINY_CONFIG, 1);
    try {
      const cache = session.allocate(1, TOKENS.length);
      return Array.from(session.run({ cache, firstSlot: 0, tokens: [TOKENS], computed: [0] }));
    } finally {
      session.release();
    }
  }
  const largestDifference = (a: number[], b: number[]) =>
    Math.max(...a.map((value, index) => Math.abs(value - (b[index] ?? Number.NaN))));

  it("computes what a plain implementation computes with W + s · B · A", async () => {
    const expected = referenceLogits(TINY_CONFIG, mergedByHand(tinyWeights(), tinyUpdates(), 2), TOKENS).at(-1) ?? [];
    const plain = referenceLogits(TINY_CONFIG, tinyWeights(), TOKENS).at(-1) ?? [];
    const spread = Math.max(...expected) - Math.min(...expected);
    expect(largestDifference(plain, expected)).toBeGreaterThan(spread / 10);
    const exact = logitsOf(await ensureDecoder(model.path, { adapter, precision: "fp32" }));
    expect(largestDifference(exact, expected)).toBeLessThan(1e-4);
    const int8 = logitsOf(await ensureDecoder(model.path, { adapter }));
    expect(largestDifference(int8, expected)).toBeLessThan(spread * 0.03);
  });

  it("is never taken for another: its files go by the contents of model and adapter", async () => {
    const decoderOf = async (name: string, parts: Parameters<typeof writeTinyAdapter>[1]) =>
      ensureDecoder(model.path, { adapter: await writeTinyAdapter(join(model.directory, name), parts) });
    const first = await ensureDecoder(model.path, { adapter });
    expect(await decoderOf("copy", {})).toBe(first);
    const others = [
      await ensureDecoder(model.path),
      await decoderOf("copy", { updates: tinyUpdates(12) }),
      await decoderOf("copy", { config: { ...TINY_ADAPTER_CONFIG, lora_alpha: 20 } }),
    ];
    expect(new Set([first, ...others]).size).toBe(4);
  });

  it("leaves nothing behind where the adapter does not fit, or its build is given up", async () => {
    const wide = new Map([...tinyUpdates()].map(([module, update]) => [`${module}_wide`, update]));
    const misfit = await writeTinyAdapter(join(model.directory, "misfit"), { updates: wide });
    await expect(ensureDecoder(model.path, { adapter: misfit })).rejects.toThrow("which this model has not");
    const cache = join(model.directory, "given-up");
    vi.stubEnv("ATTUNE_CACHE_DIR", cache);
    const abort = new AbortController();
    const build = ensureDecoderMeanwhile(model.path, abort.signal);
    abort.abort();
    await expect(build).rejects.toThrow("given up");
    expect(await readdir(join(cache, "decoders")).catch(() => [])).toEqual([]);
    vi.stubEnv("ATTUNE_CACHE_DIR", model.directory);
  });
});
