import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import { readBearer, readKey, refuse } from "../auth/credential.ts";
import { isKeyShaped } from "../auth/key.ts";
import { permitScope, principalOf } from "../auth/principal.ts";
import type { Edge } from "../environment.ts";
import { admitFor } from "../limits/admission.ts";
import { subjectsOf } from "../limits/subject.ts";

/** Who administers, as the audit log calls it, and which project; `null`: all of them. */
export type Administrator = { actor: string; projectId: string | null };

/** A shorter token is never accepted: this one opens everything. */
const SHORTEST_TOKEN = 32;

const encoder = new TextEncoder();

/** Compares digests, in a time that says nothing about where the two differ. */
async function isSame(text: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([text, other].map((one) => crypto.subtle.digest("SHA-256", encoder.encode(one))));
  return a !== undefined && b !== undefined && crypto.subtle.timingSafeEqual(a, b);
}

async function isAdminToken(token: string | undefined, bearer: string): Promise<boolean> {
  if (token === undefined) return false;
  if (token.length >= SHORTEST_TOKEN) return isSame(bearer, token);
  console.error(JSON.stringify({ event: "admin_token_too_short", shortest: SHORTEST_TOKEN }));
  return false;
}

async function readAdministrator(c: Context<Edge>): Promise<Administrator> {
  const bearer = readBearer(c.req.header("authorization"));
  if (isKeyShaped(bearer)) {
    const key = await c.var.observation.measure("auth", () => readKey(c, bearer));
    const principal = principalOf(key, null);
    c.set("principal", principal);
    // Under its own limits only: whoever used up the project's must not keep its administrator from revoking keys.
    await admitFor(
      c,
      subjectsOf(principal).filter(({ kind }) => kind === "key"),
      0,
    );
    permitScope(principal, "admin");
    return { actor: key.id, projectId: key.projectId };
  }
  if (await isAdminToken(c.env.ADMIN_TOKEN, bearer)) return { actor: "admin_token", projectId: null };
  throw refuse(
    "This is neither the server's ADMIN_TOKEN nor a key with the scope admin. The server's operator sets ADMIN_TOKEN, " +
      `of at least ${SHORTEST_TOKEN} characters.`,
  );
}

/** Requires the admin token, or a key with the scope `admin`, which opens its own project. */
export const administrate = createMiddleware<Edge>(async (c, next) => {
  c.set("administrator", await readAdministrator(c));
  // Lists of keys, and the secrets of new ones: not for any cache.
  c.header("cache-control", "no-store");
  await next();
});
