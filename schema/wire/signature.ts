import { AttuneError } from "./errors.ts";

/**
 * Edge → worker signatures, after Standard Webhooks: HMAC-SHA256 over `id.timestamp.METHOD.path.body`, base64, in
 * `webhook-signature: v1,…`. Method and path are signed too, so a body can not be replayed against another route.
 */
export const ID_HEADER = "webhook-id";
export const TIMESTAMP_HEADER = "webhook-timestamp";
export const SIGNATURE_HEADER = "webhook-signature";

/** How far the two clocks may differ, in seconds. */
export const SIGNATURE_WINDOW = 300;

export type SignedParts = { method: string; path: string; body: string };

type SignatureHeaders = { id: string | null; timestamp: string | null; signature: string | null };

/** An HMAC key. Not by its global name, which Node's types do not have. */
export type SigningKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

const encoder = new TextEncoder();

/** The secret as an HMAC key, made once per isolate or process. */
export function importSigningKey(secret: string): Promise<SigningKey> {
  return crypto.subtle.importKey("raw", encoder.encode(secret), { name: "HMAC", hash: "SHA-256" }, false, [
    "sign",
    "verify",
  ]);
}

function signedContent(id: string, timestamp: string, { method, path, body }: SignedParts) {
  return encoder.encode(`${id}.${timestamp}.${method}.${path}.${body}`);
}

/** @param now Unix seconds. */
export async function signRequest(key: SigningKey, parts: SignedParts, now: number): Promise<Record<string, string>> {
  const id = `msg_${crypto.randomUUID()}`;
  const timestamp = String(Math.floor(now));
  const mac = await crypto.subtle.sign("HMAC", key, signedContent(id, timestamp, parts));
  const signature = btoa(String.fromCharCode(...new Uint8Array(mac)));
  return { [ID_HEADER]: id, [TIMESTAMP_HEADER]: timestamp, [SIGNATURE_HEADER]: `v1,${signature}` };
}

function decodeBase64(text: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  } catch {
    return null;
  }
}

/** An id as long as anybody's, and no longer: the worker remembers it. */
const ID = /^[\w-]{1,64}$/;

/**
 * Checks a request's signature against each accepted key in constant time and returns its id and timestamp, which the caller remembers
 * for the length of the window so that nothing is accepted twice.
 *
 * @param now Unix seconds.
 * @throws AttuneError `invalid_signature`
 */
export async function verifyRequest(
  keys: SigningKey[],
  headers: SignatureHeaders,
  parts: SignedParts,
  now: number,
): Promise<{ id: string; timestamp: number }> {
  const { id, timestamp, signature } = headers;
  if (id === null || timestamp === null || signature === null || !ID.test(id) || !/^\d{1,12}$/.test(timestamp)) {
    throw new AttuneError("invalid_signature", "The request is not signed. Only the edge may call this worker.");
  }
  if (Math.abs(now - Number(timestamp)) > SIGNATURE_WINDOW) {
    throw new AttuneError("invalid_signature", "The signature's timestamp is outside the window; check both clocks.");
  }
  const content = signedContent(id, timestamp, parts);
  for (const candidate of signature.split(" ")) {
    const mac = candidate.startsWith("v1,") ? decodeBase64(candidate.slice(3)) : null;
    if (mac === null) continue;
    for (const key of keys) {
      if (await crypto.subtle.verify("HMAC", key, mac, content)) return { id, timestamp: Number(timestamp) };
    }
  }
  throw new AttuneError("invalid_signature", "The signature does not match. Edge and worker must share one secret.");
}
