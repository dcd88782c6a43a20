import { createMiddleware } from "hono/factory";
import { AttuneError } from "../../schema/wire/errors.ts";
import type { Edge } from "../environment.ts";
import { hashKey, hasValidChecksum, isKeyShaped } from "./key.ts";
import { findKey } from "./store.ts";

/** Messages say what to do and never repeat what was sent: error bodies end up in logs. */
const refuse = (message: string) => new AttuneError("invalid_api_key", message);

/** @throws AttuneError `invalid_api_key` */
function readKey(authorization: string | undefined): string {
  if (authorization === undefined) {
    throw refuse("No API key was sent. Send yours in the header `Authorization: Bearer sk_...`.");
  }
  const key = /^Bearer +(\S+) *$/i.exec(authorization)?.[1];
  if (key === undefined) throw refuse("The Authorization header is malformed. It must read `Bearer sk_...`.");
  if (!isKeyShaped(key)) {
    throw refuse("The API key is malformed. Keys start with sk_live_ or sk_test_ and are 44 characters long.");
  }
  if (!hasValidChecksum(key)) {
    throw refuse("The API key has a typo: its checksum does not match. Copy the whole key again.");
  }
  return key;
}

/** Requires a secret key. A key with a typo is refused before anything is looked up. */
export const authenticate = createMiddleware<Edge>(async (c, next) => {
  const key = readKey(c.req.header("authorization"));
  const apiKey = await findKey(c.env.DB, await hashKey(c.env.KEY_PEPPER, key), Date.now());
  if (apiKey === null) throw refuse("The API key is not known to this server. Check which server it was created for.");
  if (apiKey.revoked) throw refuse("The API key was revoked. Create a new one.");
  c.set("apiKey", apiKey);
  await next();
});
