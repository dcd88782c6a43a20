import type { Context } from "hono";
import { type SessionAnswer, sessionCreateSchema } from "../../schema/api/sessions.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import { parseBody } from "../body.ts";
import type { Edge } from "../environment.ts";
import { admit } from "../limits/admission.ts";
import { resolvePreset } from "../presets/versions.ts";
import { readBearer, readKey } from "./credential.ts";
import { permitOrigin } from "./origin.ts";
import { permitPreset, principalOf } from "./principal.ts";
import { SESSION_LIFETIME, signSession } from "./session-token.ts";

/** `POST /v1/sessions`: a page exchanges its publishable key for a short session of its own. */
export async function openSession(c: Context<Edge>): Promise<Response> {
  const secret = readBearer(c.req.header("authorization"));
  const key = await c.var.observation.measure("auth", () => readKey(c, secret));
  if (key.kind !== "publishable") {
    throw new AttuneError(
      "permission_denied",
      "Sessions are opened with a publishable key (pk_...). A secret key needs none: send it with each request.",
    );
  }
  const origin = permitOrigin(
    c,
    key.origins,
    "This key does not allow requests from this origin. Have it added to the key's origins, exactly as the browser sends it.",
  );
  const principal = principalOf(key, null);
  c.set("principal", principal);
  await admit(c, 0);

  const { end_user: endUser = null, preset = null } = await parseBody(sessionCreateSchema, c.req.raw);
  if (preset !== null) {
    permitPreset(principal, preset, "preset");
    await resolvePreset(c.env.DB, key.projectId, { slug: preset, reference: "latest" }, "preset");
  }
  const now = Math.floor(Date.now() / 1000);
  const expiresAt = Math.min(now + SESSION_LIFETIME, key.expiresAt ?? Number.POSITIVE_INFINITY);
  const token = await signSession(
    c.env.KEY_PEPPER,
    { keyId: key.id, session: { origin, endUser, preset } },
    { now, expiresAt },
  );
  const answer: SessionAnswer = { object: "session", token, expires_at: expiresAt, origin, end_user: endUser, preset };
  c.header("cache-control", "no-store");
  return c.json(answer, 201);
}
