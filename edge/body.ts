import { AttuneError } from "../schema/wire/errors.ts";

/** Largest request body, in bytes. */
export const BODY_LIMIT = 1_048_576;

/** How long a body may take to arrive: a mebibyte at 300 kbit/s. */
const BODY_DEADLINE_MS = 30_000;

/** How deep lists and objects may stand in one another. JSON schemas of answers need some ten. */
export const DEPTH_LIMIT = 64;

const tooLarge = () => new AttuneError("request_too_large", `The request body is larger than ${BODY_LIMIT} bytes.`);

const tooSlow = (deadlineMs: number) =>
  new AttuneError(
    "request_timeout",
    `The request body did not arrive within ${deadlineMs / 1000} seconds. Send it again, over a better connection.`,
  );

/** Counts what arrives, as long as that may take. */
async function readChunks(body: ReadableStream<Uint8Array>, deadlineMs: number): Promise<Uint8Array[]> {
  const reader = body.getReader();
  const late = Promise.withResolvers<null>();
  const timer = setTimeout(() => late.resolve(null), deadlineMs);
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    while (true) {
      const read = await Promise.race([reader.read(), late.promise]);
      if (read === null) throw tooSlow(deadlineMs);
      if (read.done) return chunks;
      length += read.value.byteLength;
      if (length > BODY_LIMIT) throw tooLarge();
      chunks.push(read.value);
    }
  } catch (error) {
    // What is still to come is not waited for, nor whether that can be said.
    reader.cancel().catch(() => {});
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** A declared length is only believed when it is already too much. */
async function readBytes(request: Request, deadlineMs: number): Promise<Uint8Array> {
  if (Number(request.headers.get("content-length") ?? 0) > BODY_LIMIT) throw tooLarge();
  const body: ReadableStream<Uint8Array> | null = request.body;
  const chunks = body === null ? [] : await readChunks(body, deadlineMs);
  const [first] = chunks;
  if (first !== undefined && chunks.length === 1) return first;
  const bytes = new Uint8Array(chunks.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes));
  } catch {
    throw new AttuneError("invalid_request", "The request body is not valid JSON in UTF-8.");
  }
}

const containersIn = (values: unknown[]): object[] =>
  values.filter((value) => typeof value === "object" && value !== null);

/** Whatever walks a value may use a stack: its depth is measured without one. */
function isDeeper(value: unknown, limit: number): boolean {
  let level = containersIn([value]);
  for (let depth = 0; depth < limit && level.length > 0; depth++) level = containersIn(level.flatMap(Object.values));
  return level.length > 0;
}

/**
 * The body as JSON, whatever its content type says.
 *
 * @throws AttuneError `request_too_large`, `request_timeout`, `invalid_request`
 */
export async function readJson(request: Request, deadlineMs = BODY_DEADLINE_MS): Promise<unknown> {
  const value = parse(await readBytes(request, deadlineMs));
  if (!isDeeper(value, DEPTH_LIMIT)) return value;
  const message = `The request body has more than ${DEPTH_LIMIT} lists and objects in one another.`;
  throw new AttuneError("invalid_request", message);
}
