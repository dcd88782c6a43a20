import { AttuneError } from "../schema/wire/errors.ts";

/** Largest request body, in bytes. */
export const BODY_LIMIT = 1_048_576;

const tooLarge = () => new AttuneError("request_too_large", `The request body is larger than ${BODY_LIMIT} bytes.`);

/** Counts what arrives; a declared length is only believed when it is already too much. */
async function readBytes(request: Request): Promise<Uint8Array> {
  if (Number(request.headers.get("content-length") ?? 0) > BODY_LIMIT) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let length = 0;
  const body: ReadableStream<Uint8Array> | null = request.body;
  if (body !== null) {
    for await (const chunk of body) {
      length += chunk.byteLength;
      if (length > BODY_LIMIT) throw tooLarge();
      chunks.push(chunk);
    }
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

/**
 * The body as JSON, whatever its content type says.
 *
 * @throws AttuneError `request_too_large`, `invalid_request`
 */
export async function readJson(request: Request): Promise<unknown> {
  const bytes = await readBytes(request);
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes));
  } catch {
    throw new AttuneError("invalid_request", "The request body is not valid JSON in UTF-8.");
  }
}
