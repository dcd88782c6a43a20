import { importSigningKey, type SigningKey, signRequest } from "../../schema/wire/signature.ts";

/** On whose behalf a worker is asked. */
export type Caller = {
  secret: string;
  requestId: string;
  /** The trace that the work belongs to, as W3C headers; empty where it has none. */
  traceHeaders: Record<string, string>;
};

/** What a worker is asked. */
export type Question = { method: "GET" | "POST"; path: string; body?: string };

/** The key of the last secret: there is one for the life of an isolate, but in tests. */
let imported: { secret: string; key: SigningKey } | null = null;

async function keyOf(secret: string): Promise<SigningKey> {
  if (imported?.secret === secret) return imported.key;
  const key = await importSigningKey(secret);
  imported = { secret, key };
  return key;
}

/** Asks the worker at `origin`, signed. @throws whatever `fetch` does where no answer came */
export async function signedFetch(
  origin: string,
  { secret, requestId, traceHeaders }: Caller,
  { method, path, body = "" }: Question,
  signal: AbortSignal,
): Promise<Response> {
  const signature = await signRequest(await keyOf(secret), { method, path, body }, Date.now() / 1000);
  return fetch(origin + path, {
    method,
    headers: { ...signature, ...traceHeaders, "content-type": "application/json", "x-request-id": requestId },
    signal,
    redirect: "manual",
    ...(method === "POST" && { body }),
  });
}
