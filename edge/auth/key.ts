import { importSigningKey, type SigningKey } from "../../schema/wire/signature.ts";
import { cryptoRandomBytes, encodeBase62, type RandomBytes, randomBase62 } from "../base62.ts";
import { toHex } from "../hex.ts";

/** Secret (`sk`) or publishable (`pk`), of production or of tests. */
export type KeyPrefix = "sk_live" | "sk_test" | "pk_live" | "pk_test";

const KEY = /^(?:sk|pk)_(?:live|test)_[0-9A-Za-z]{36}$/;
const PREFIX_LENGTH = "sk_live".length;
/** 30 base62 characters are 178 bits. */
const RANDOM_LENGTH = 30;
const CHECKSUM_LENGTH = 6;

const encoder = new TextEncoder();

/** CRC-32 (IEEE 802.3), bit by bit: a key is 44 bytes, a table would not pay. */
function crc32(text: string): number {
  let crc = 0xffffffff;
  for (const byte of encoder.encode(text)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

/** A new key: `sk_live_` or another prefix, 30 random characters, and the CRC-32 of all that in 6. */
export function createKey(prefix: KeyPrefix, randomBytes: RandomBytes = cryptoRandomBytes): string {
  const body = `${prefix}_${randomBase62(RANDOM_LENGTH, randomBytes)}`;
  return body + encodeBase62(crc32(body), CHECKSUM_LENGTH);
}

/** Whether the text has a key's form. */
export function isKeyShaped(key: string): boolean {
  return KEY.test(key);
}

/** Whether the text is a key without a typo; says nothing about whether it was ever given out. */
export function hasValidChecksum(key: string): boolean {
  if (!isKeyShaped(key)) return false;
  const body = key.slice(0, -CHECKSUM_LENGTH);
  return key.slice(-CHECKSUM_LENGTH) === encodeBase62(crc32(body), CHECKSUM_LENGTH);
}

/** By pepper, of which there are one or two. */
const hmacKeys = new Map<string, SigningKey>();

async function hmacKeyOf(pepper: string): Promise<SigningKey> {
  const known = hmacKeys.get(pepper);
  if (known !== undefined) return known;
  const imported = await importSigningKey(pepper);
  hmacKeys.set(pepper, imported);
  return imported;
}

/** What is stored of a key: HMAC-SHA-256(pepper, key) in hex. The database alone does not reveal or verify a key. */
export async function hashKey(pepper: string, key: string): Promise<string> {
  return toHex(new Uint8Array(await crypto.subtle.sign("HMAC", await hmacKeyOf(pepper), encoder.encode(key))));
}

/** What a key's row says of its secret. */
export async function describeSecret(pepper: string, secret: string) {
  return {
    hash: await hashKey(pepper, secret),
    pepperId: await pepperIdOf(pepper),
    prefix: secret.slice(0, PREFIX_LENGTH),
    lastFour: secret.slice(-4),
  };
}

/** Eight hex digits that tell peppers apart and say nothing else about them. */
export async function pepperIdOf(pepper: string): Promise<string> {
  return (await hashKey(pepper, "pepper id")).slice(0, 8);
}
