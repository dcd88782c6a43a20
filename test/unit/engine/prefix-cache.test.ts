import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BLOCK_TOKENS, type KvReader, PrefixCache } from "../../../gpu-worker/engine/prefix-cache.ts";

/** One value a token, which stands for its keys and values: the token itself. */
const reader =
  (tokens: number[]): KvReader =>
  (offset, count, kv) =>
    kv.set(tokens.slice(offset, offset + count));

const blocks = (count: number) => count * BLOCK_TOKENS * Float32Array.BYTES_PER_ELEMENT;

function cacheOf(...sequences: number[][]): PrefixCache {
  const cache = new PrefixCache(1, blocks(1000));
  for (const tokens of sequences) cache.insert(tokens, 0, reader(tokens));
  return cache;
}

/** What the cache holds of a prefix, read back from its pieces. */
const recalled = (cache: PrefixCache, tokens: number[]) =>
  cache.match(tokens).flatMap(({ kv, count }) => [...kv.subarray(0, count)]);

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);

describe("PrefixCache", () => {
  it("gives back every token of a prompt it has seen, whatever its length", () => {
    for (const length of [1, 15, 16, 17, 40]) {
      const tokens = range(0, length);
      expect(recalled(cacheOf(tokens), tokens)).toEqual(tokens);
    }
  });

  it("gives back a conversation up to where it changed, to the token", () => {
    const conversation = range(0, 37);
    const cache = cacheOf([...conversation, 900, 1, 902], [...conversation, 900, 2, 902]);
    expect(recalled(cache, [...conversation, 900, 3, 902])).toEqual([...conversation, 900]);
  });

  it("gives back nothing of another prompt", () => {
    expect(cacheOf(range(0, 40)).match(range(1, 41))).toEqual([]);
    expect(cacheOf().match([1])).toEqual([]);
    expect(cacheOf([1]).match([])).toEqual([]);
  });

  it("gives back nothing that was kept under another adapter, and shares one cap between all", () => {
    const tokens = range(0, 40);
    const cache = new PrefixCache(1, blocks(4));
    cache.insert(tokens, 0, reader(tokens), "one");
    expect(cache.match(tokens)).toEqual([]);
    expect(cache.match(tokens, "two")).toEqual([]);
    expect(cache.match(tokens, "one")).toHaveLength(3);
    cache.insert(tokens, 0, reader(tokens), "two");
    expect(cache.match(tokens, "two")).toHaveLength(3);
    expect(cache.match(tokens, "one")).toHaveLength(1);
    expect(cache.bytes).toBe(blocks(4));
  });

  it("keeps what two prompts share once", () => {
    const shared = range(0, 64);
    expect(cacheOf([...shared, 500], [...shared, 600]).bytes).toBe(blocks(6));
    expect(cacheOf(shared, shared).bytes).toBe(blocks(4));
  });

  it("grows an incomplete run instead of keeping it twice", () => {
    const cache = cacheOf(range(0, 20), range(0, 25), range(0, 40), range(0, 22));
    expect(recalled(cache, range(0, 40))).toEqual(range(0, 40));
    // Three blocks, and the array of the run that was replaced.
    expect(cache.bytes).toBeLessThanOrEqual(blocks(4));
  });

  it("says of which tokens the last bits are what reading the prompt anew would give, and lets those replace others", () => {
    const tokens = range(0, 40);
    const cache = new PrefixCache(1, blocks(1000));
    const canonicalTokens = () =>
      cache.match(tokens).reduce((total, { count, canonical }) => total + (canonical ? count : 0), 0);
    cache.insert(tokens, 20, reader(tokens));
    expect(canonicalTokens()).toBe(16);
    cache.insert(tokens, 0, reader(tokens));
    expect(canonicalTokens()).toBe(16);
    const exact = tokens.map((token) => token + 0.5);
    cache.insert(tokens, 32, reader(exact));
    expect(canonicalTokens()).toBe(32);
    expect(recalled(cache, tokens)).toEqual([...range(0, 16), ...exact.slice(16, 32), ...range(32, 40)]);
  });

  it("forgets what was not used for longest, from its end", () => {
    const cache = new PrefixCache(1, blocks(4));
    const [old, used, fresh] = [range(0, 32), range(100, 132), range(200, 216)];
    for (const tokens of [old, used]) cache.insert(tokens, 0, reader(tokens));
    cache.match(used);
    cache.insert(fresh, 0, reader(fresh));
    expect(recalled(cache, used)).toEqual(used);
    expect(recalled(cache, fresh)).toEqual(fresh);
    expect(recalled(cache, old)).toEqual(old.slice(0, BLOCK_TOKENS));
  });

  it("keeps the beginning of what is larger than itself, and nothing where it has no room at all", () => {
    const cache = new PrefixCache(1, blocks(2));
    cache.insert(range(0, 100), 0, reader(range(0, 100)));
    expect(recalled(cache, range(0, 100)).length).toBeLessThanOrEqual(32);
    const none = new PrefixCache(1, 0);
    none.insert([1, 2], 0, reader([1, 2]));
    expect(none.match([1, 2])).toEqual([]);
    expect(none.bytes).toBe(0);
  });

  it("never gives back a wrong token and never exceeds its size, whatever comes", () => {
    const sequence = fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 70 });
    const operations = fc.array(fc.record({ tokens: sequence, insert: fc.boolean() }), { maxLength: 40 });
    fc.assert(
      fc.property(operations, fc.integer({ min: 0, max: 8 }), (list, capacity) => {
        const cache = new PrefixCache(1, blocks(capacity));
        for (const { tokens, insert } of list) {
          if (insert) cache.insert(tokens, 0, reader(tokens));
          const found = recalled(cache, tokens);
          expect(found).toEqual(tokens.slice(0, found.length));
          expect(cache.bytes).toBeLessThanOrEqual(blocks(capacity));
        }
      }),
    );
  });

  it("remembers all of what was inserted last, where it fits", () => {
    const sequence = fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(fc.array(sequence, { minLength: 1, maxLength: 20 }), (list) => {
        const cache = new PrefixCache(1, blocks(4));
        for (const tokens of list) {
          cache.insert(tokens, 0, reader(tokens));
          expect(recalled(cache, tokens)).toEqual(tokens);
        }
      }),
    );
  });
});
