import type { Context } from "hono";
import { AttuneError } from "../../schema/wire/errors.ts";
import type { Edge } from "../environment.ts";

/** The page that sent the request, or `null` where no browser says. Browsers leave `Origin` out where a page reads from its own. */
function originOf(request: Request): string | null {
  const origin = request.headers.get("origin");
  if (origin !== null) return origin;
  return request.headers.get("sec-fetch-site") === "same-origin" ? new URL(request.url).origin : null;
}

/**
 * Admits the request if its page is one of `allowed`. From here on no other page may read the answer, not even the refusal.
 *
 * @returns the page's origin
 * @throws AttuneError `permission_denied`
 */
export function permitOrigin(c: Context<Edge>, allowed: readonly string[], otherwise: string): string {
  const origin = originOf(c.req.raw);
  c.header("vary", "Origin");
  if (origin !== null && allowed.includes(origin)) {
    c.header("access-control-allow-origin", origin);
    return origin;
  }
  c.header("access-control-allow-origin", undefined);
  throw new AttuneError("permission_denied", otherwise);
}
