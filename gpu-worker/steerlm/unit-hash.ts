import { createHash } from "node:crypto";

const LEADING_BYTES = 6;

/**
 * A number in [0, 1) that depends on `text` alone: the leading 48 bits of its SHA-1. Draws made of it need no order and no state,
 * so neither more rows nor a resumed run changes what another row got.
 */
export function unitHash(text: string): number {
  return createHash("sha1").update(text).digest().readUIntBE(0, LEADING_BYTES) / 2 ** (8 * LEADING_BYTES);
}
