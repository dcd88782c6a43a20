import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import type { Scope } from "../../schema/api/keys.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import type { Edge } from "../environment.ts";
import { checkUsable, readBearer, readKey, refuse } from "./credential.ts";
import { permitOrigin } from "./origin.ts";
import { type Principal, permitPreset, permitScope, principalOf } from "./principal.ts";
import { verifySession } from "./session-token.ts";
import { findKeyById } from "./store.ts";

const TOKEN = /^[\w-]+\.[\w-]+\.[\w-]+$/;

async function readPrincipal(c: Context<Edge>): Promise<Principal> {
  const bearer = readBearer(c.req.header("authorization"));
  if (TOKEN.test(bearer)) return readSession(c, bearer);
  const key = await readKey(c, bearer);
  if (key.kind === "secret") return principalOf(key, null);
  throw new AttuneError(
    "permission_denied",
    "A publishable key only opens sessions: exchange it at POST /v1/sessions and send the session's token here.",
  );
}

/**
 * A session is good for the page that opened it, as long as its key is.
 *
 * @throws AttuneError `invalid_api_key`, `session_expired`, `permission_denied`
 */
async function readSession(c: Context<Edge>, token: string): Promise<Principal> {
  const now = Date.now();
  const { KEY_PEPPER, KEY_PEPPER_OTHER } = c.env;
  const peppers = KEY_PEPPER_OTHER === undefined ? [KEY_PEPPER] : [KEY_PEPPER, KEY_PEPPER_OTHER];
  const verified = await verifySession(peppers, token, now);
  if (verified === null) throw refuse("The session is not one of this server's. Open one with POST /v1/sessions.");
  const { keyId, session } = verified.claims;
  permitOrigin(
    c,
    [session.origin],
    "The session belongs to the page of another origin. Open one with POST /v1/sessions.",
  );
  if (verified.expired) {
    throw new AttuneError("session_expired", "The session is over. Open another one with POST /v1/sessions.");
  }
  const key = await findKeyById(c.env.DB, keyId, now);
  if (key === null) throw refuse("The session's key is not known to this server. Open one with POST /v1/sessions.");
  checkUsable(key, now);
  permitOrigin(c, key.origins, "The session's key no longer allows this origin. Have it added to the key's origins.");
  const principal = principalOf(key, session);
  if (session.preset === null) return principal;
  permitPreset(principal, session.preset);
  return { ...principal, presets: [session.preset] };
}

/** Requires a secret key or a session. */
export const authenticate = createMiddleware<Edge>(async (c, next) => {
  c.set("principal", await c.get("observation").measure("auth", () => readPrincipal(c)));
  await next();
});

/** Requires that it has this scope. */
export const requireScope = (scope: Scope) =>
  createMiddleware<Edge>(async (c, next) => {
    permitScope(c.get("principal"), scope);
    await next();
  });
