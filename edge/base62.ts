const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** The largest multiple of 62 in a byte: bytes from here on would favour the alphabet's first letters. */
const UNBIASED = 248;

/** Fills bytes with randomness; passed in so that tests choose it. */
export type RandomBytes = (length: number) => Uint8Array;

export const cryptoRandomBytes: RandomBytes = (length) => crypto.getRandomValues(new Uint8Array(length));

const BLOCK = 4_096;
let block: Uint8Array = new Uint8Array();
let taken = 0;

/** The same out of a block that is drawn at once, for ids: a request needs a few, and each draw by itself costs more than all of them. Not for secrets. */
export const blockRandomBytes: RandomBytes = (length) => {
  if (length > block.length - taken) {
    block = cryptoRandomBytes(Math.max(BLOCK, length));
    taken = 0;
  }
  taken += length;
  return block.subarray(taken - length, taken);
};

/** `length` uniformly random base62 characters. */
export function randomBase62(length: number, randomBytes: RandomBytes = blockRandomBytes): string {
  let text = "";
  while (text.length < length) {
    for (const byte of randomBytes(length)) {
      if (byte < UNBIASED && text.length < length) text += ALPHABET.charAt(byte % 62);
    }
  }
  return text;
}

/** A non-negative integer in base62, padded to `length` with zeros. */
export function encodeBase62(value: number, length: number): string {
  let text = "";
  for (let rest = value; rest > 0; rest = Math.floor(rest / 62)) text = ALPHABET.charAt(rest % 62) + text;
  return text.padStart(length, "0");
}
