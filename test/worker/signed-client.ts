import { importSigningKey, signRequest } from "../../schema/wire/signature.ts";

/** Calls a worker as the edge does. */
export function signedClient(url: string, secret: string) {
  const key = importSigningKey(secret);
  const headersFor = async (method: string, path: string, body: string) =>
    signRequest(await key, { method, path, body }, Date.now() / 1000);
  return {
    headersFor,
    async send(method: string, path: string, body?: unknown, init: { signal?: AbortSignal } = {}): Promise<Response> {
      const text = body === undefined ? "" : typeof body === "string" ? body : JSON.stringify(body);
      const headers = { "content-type": "application/json", ...(await headersFor(method, path, text)) };
      return fetch(url + path, { method, headers, ...(method === "GET" ? {} : { body: text }), ...init });
    },
  };
}
