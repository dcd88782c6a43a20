import { errors, jwtVerify, SignJWT } from "jose";
import { z } from "zod";
import type { Session } from "./principal.ts";

/** Longest life of a session, in seconds. */
export const SESSION_LIFETIME = 900;

const ALGORITHM = "HS256";
const ISSUER = "attune";
const AUDIENCE = "attune/v1";

const claimsSchema = z.object({
  sub: z.string(),
  exp: z.int(),
  origin: z.string(),
  end_user: z.string().optional(),
  preset: z.string().optional(),
});

/** What a session's token says: the key that it was opened with, and the session. */
export type SessionClaims = { keyId: string; session: Session };

const encoder = new TextEncoder();
const signingKeys = new Map<string, Promise<CryptoKey>>();

/** A key of its own, derived from the pepper (HKDF, RFC 5869): a deployment has one secret less to keep. */
function signingKeyOf(pepper: string): Promise<CryptoKey> {
  const known = signingKeys.get(pepper);
  if (known !== undefined) return known;
  const derived = crypto.subtle
    .importKey("raw", encoder.encode(pepper), "HKDF", false, ["deriveKey"])
    .then((material) =>
      crypto.subtle.deriveKey(
        { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info: encoder.encode("attune session tokens") },
        material,
        { name: "HMAC", hash: "SHA-256", length: 256 },
        false,
        ["sign", "verify"],
      ),
    );
  signingKeys.set(pepper, derived);
  return derived;
}

/**
 * The session as a JWT (RFC 7519).
 *
 * @param times.now and `times.expiresAt`: Unix seconds
 */
export async function signSession(
  pepper: string,
  { keyId, session }: SessionClaims,
  { now, expiresAt }: { now: number; expiresAt: number },
): Promise<string> {
  const { origin, endUser, preset } = session;
  const claims = { origin, ...(endUser !== null && { end_user: endUser }), ...(preset !== null && { preset }) };
  return new SignJWT(claims)
    .setProtectedHeader({ alg: ALGORITHM, typ: "JWT" })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setSubject(keyId)
    .setJti(crypto.randomUUID())
    .setIssuedAt(now)
    .setExpirationTime(expiresAt)
    .sign(await signingKeyOf(pepper));
}

function readClaims(payload: unknown): SessionClaims | null {
  const parsed = claimsSchema.safeParse(payload);
  if (!parsed.success) return null;
  const { sub, origin, end_user, preset } = parsed.data;
  return { keyId: sub, session: { origin, endUser: end_user ?? null, preset: preset ?? null } };
}

/**
 * What a token says, if one of the peppers signed it; `null` where none did. An expired one is told apart, for what it says is
 * still true.
 *
 * @param now Unix milliseconds.
 */
export async function verifySession(
  peppers: readonly string[],
  token: string,
  now: number,
): Promise<{ claims: SessionClaims; expired: boolean } | null> {
  const options = { algorithms: [ALGORITHM], issuer: ISSUER, audience: AUDIENCE, currentDate: new Date(now) };
  for (const pepper of peppers) {
    try {
      const { payload } = await jwtVerify(token, await signingKeyOf(pepper), options);
      const claims = readClaims(payload);
      return claims === null ? null : { claims, expired: false };
    } catch (error) {
      if (error instanceof errors.JWTExpired) {
        const claims = readClaims(error.payload);
        return claims === null ? null : { claims, expired: true };
      }
      if (!(error instanceof errors.JOSEError)) throw error;
    }
  }
  return null;
}
