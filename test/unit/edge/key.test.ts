import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createKey, hashKey, hasValidChecksum, isKeyShaped } from "../../../edge/auth/key.ts";

const key = fc
  .tuple(
    fc.constantFrom("sk_live" as const, "sk_test" as const, "pk_live" as const, "pk_test" as const),
    fc.uint8Array({ minLength: 30, maxLength: 30, max: 247 }),
  )
  .map(([prefix, bytes]) => createKey(prefix, () => bytes));

describe("a key", () => {
  it("has its prefix, 30 random characters and a checksum", () => {
    expect(createKey("sk_live")).toMatch(/^sk_live_[0-9A-Za-z]{36}$/);
    expect(createKey("sk_test")).toMatch(/^sk_test_[0-9A-Za-z]{36}$/);
    expect(createKey("pk_live")).toMatch(/^pk_live_[0-9A-Za-z]{36}$/);
    expect(createKey("sk_test")).not.toBe(createKey("sk_test"));
  });

  it("carries the CRC-32 of what precedes it", () => {
    // zlib.crc32 of the first 38 characters is 2192278140, which is 2OMZgq in base62.
    expect(createKey("sk_test", (length) => new Uint8Array(length))).toBe(`sk_test_${"0".repeat(30)}2OMZgq`);
  });

  it("is valid as created, and with any one character changed it is not", () => {
    fc.assert(
      fc.property(key, fc.nat(43), fc.constantFrom(..."0123456789ABCXYZabcxyz_"), (text, at, character) => {
        expect(hasValidChecksum(text)).toBe(true);
        const typo = text.slice(0, at) + character + text.slice(at + 1);
        expect(hasValidChecksum(typo)).toBe(typo === text);
      }),
    );
  });

  it.each(["", "sk_live_", "sk_prod_", "xk_live_", `${createKey("sk_test")} `, createKey("sk_test").slice(0, -1)])(
    "%j is none",
    (text) => {
      expect(isKeyShaped(text)).toBe(false);
      expect(hasValidChecksum(text)).toBe(false);
    },
  );

  it("never takes random bytes that would favour some letters", () => {
    const bytes = [255, 248, 247, 0];
    expect(createKey("sk_test", () => Uint8Array.from(bytes)).slice(8, 12)).toBe("z0z0");
  });

  it("is stored as an HMAC under the pepper", async () => {
    const hash = await hashKey("pepper", "key");
    expect(hash).toMatch(/^[0-9a-f]{64}$/);
    expect(await hashKey("pepper", "key")).toBe(hash);
    expect(await hashKey("other", "key")).not.toBe(hash);
  });
});
