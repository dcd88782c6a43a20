import { importSigningKey, signRequest } from "../../schema/wire/signature.ts";

/** Asks a worker something, signed as the edge signs. @throws Error with the worker's words where it refuses */
export async function signedCall(
  { origin, secret }: { origin: string; secret: string },
  method: "GET" | "POST" | "DELETE",
  path: string,
  content?: object,
): Promise<unknown> {
  const body = content === undefined ? "" : JSON.stringify(content);
  const headers = await signRequest(await importSigningKey(secret), { method, path, body }, Date.now() / 1000);
  const response = await fetch(new URL(path, origin), { method, headers, ...(body !== "" && { body }) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${origin} answers ${response.status}: ${text}`);
  return JSON.parse(text);
}
