import { AttuneError } from "../../schema/wire/errors.ts";
import { randomBase62 } from "../base62.ts";
import { toHex } from "../hex.ts";
import type { Asker } from "./kept/kept-record.ts";

/** Characters of a generation's id that name its object; with an Idempotency-Key more follow, which tell its attempts apart. */
export const OBJECT_LENGTH = 24;
const ATTEMPT_LENGTH = 8;

/** Printable ASCII, as HTTP allows it in a header. */
const KEY = /^[\x20-\x7e]{1,255}$/;

const encoder = new TextEncoder();

async function sha256(...parts: unknown[]): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", encoder.encode(JSON.stringify(parts)));
  return toHex(new Uint8Array(hash));
}

/** What stands for a request, so that it is made once. */
export type Idempotency = { generation: string; fingerprint: string };

/**
 * Reads an Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07): requests of one key, or of one end user of it, that have the
 * same name the same object; what else they say must be the same too.
 *
 * @param key the header's value
 * @param body what was asked, as JSON
 * @throws AttuneError `invalid_request`
 */
export async function readIdempotency(key: string, asker: Asker, dialect: string, body: unknown): Promise<Idempotency> {
  if (!KEY.test(key)) {
    throw new AttuneError("invalid_request", "Idempotency-Key: must be 1 to 255 printable ASCII characters.", {
      param: "Idempotency-Key",
    });
  }
  if (asker.session?.endUser === null) {
    throw new AttuneError(
      "invalid_request",
      "Idempotency-Key: sessions that name no end user cannot be told apart. Name one in end_user at POST /v1/sessions.",
      { param: "Idempotency-Key" },
    );
  }
  const owner = await sha256(asker.keyId, asker.session?.endUser ?? null, key);
  return {
    generation: `gen_${owner.slice(0, OBJECT_LENGTH)}${randomBase62(ATTEMPT_LENGTH)}`,
    fingerprint: await sha256(dialect, body),
  };
}
