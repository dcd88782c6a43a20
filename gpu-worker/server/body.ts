import type { IncomingMessage } from "node:http";
import { AttuneError } from "../../schema/wire/errors.ts";

/** Longest body the edge may send, in bytes: its own limit of 1 MiB, JSON-escaped, with persona and steering. */
const MAX_BYTES = 8 * 1024 * 1024;

/** @throws AttuneError `request_too_large` */
export async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > MAX_BYTES) throw new AttuneError("request_too_large", `The body is over ${MAX_BYTES} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
