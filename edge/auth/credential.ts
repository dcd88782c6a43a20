import type { Context } from "hono";
import { AttuneError } from "../../schema/wire/errors.ts";
import type { Edge } from "../environment.ts";
import { hasValidChecksum, isKeyShaped } from "./key.ts";
import { type ApiKey, findKeyBySecret } from "./store.ts";

/** Messages say what to do and never repeat what was sent: error bodies end up in logs. */
export const refuse = (message: string) => new AttuneError("invalid_api_key", message);

/**
 * What follows `Bearer`.
 *
 * @throws AttuneError `invalid_api_key`
 */
export function readBearer(authorization: string | undefined): string {
  if (authorization === undefined) {
    throw refuse("No API key was sent. Send yours in the header `Authorization: Bearer sk_...`.");
  }
  const bearer = /^Bearer +(\S+) *$/i.exec(authorization)?.[1];
  if (bearer === undefined) throw refuse("The Authorization header is malformed. It must read `Bearer sk_...`.");
  return bearer;
}

/**
 * The key that has this secret. One with a typo is refused before anything is looked up.
 *
 * @throws AttuneError `invalid_api_key`
 */
export async function readKey(c: Context<Edge>, secret: string): Promise<ApiKey> {
  if (!isKeyShaped(secret)) {
    throw refuse(
      "The API key is malformed. Keys start with sk_live_, sk_test_, pk_live_ or pk_test_ and are 44 characters long.",
    );
  }
  if (!hasValidChecksum(secret)) {
    throw refuse("The API key has a typo: its checksum does not match. Copy the whole key again.");
  }
  const now = Date.now();
  const found = await findKeyBySecret(c.env, secret, now, (work) => c.executionCtx.waitUntil(work));
  if (found === null) throw refuse("The API key is not known to this server. Check which server it was created for.");
  checkUsable(found.key, now);
  if (found.worksUntil !== null && isOver(found.worksUntil, now)) {
    throw refuse("The API key was replaced by a newer one and no longer works. Use the new one.");
  }
  return found.key;
}

const isOver = (seconds: number, now: number) => seconds * 1000 <= now;

/**
 * @param now Unix milliseconds.
 * @throws AttuneError `invalid_api_key`
 */
export function checkUsable(key: ApiKey, now: number): void {
  if (key.revoked) throw refuse("The API key was revoked. Create a new one.");
  if (key.expiresAt !== null && isOver(key.expiresAt, now)) {
    throw refuse("The API key has expired. Create a new one, or have its expiry moved.");
  }
}
