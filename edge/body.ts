import type { z } from "zod";
import { AttuneError, invalidRequest } from "../schema/wire/errors.ts";

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

/** What `arriving` comes to, if it does so in time. */
async function inTime<T>(deadlineMs: number, arriving: (late: Promise<null>) => Promise<T>): Promise<T> {
  const late = Promise.withResolvers<null>();
  const timer = setTimeout(() => late.resolve(null), deadlineMs);
  try {
    return await arriving(late.promise);
  } finally {
    clearTimeout(timer);
  }
}

/** Counts what arrives: nothing else says how long it will be. */
async function readChunks(
  body: ReadableStream<Uint8Array>,
  late: Promise<null>,
  deadlineMs: number,
): Promise<Uint8Array> {
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    while (true) {
      const read = await Promise.race([reader.read(), late]);
      if (read === null) throw tooSlow(deadlineMs);
      if (read.done) return join(chunks, length);
      length += read.value.byteLength;
      if (length > BODY_LIMIT) throw tooLarge();
      chunks.push(read.value);
    }
  } catch (error) {
    // What is still to come is not waited for, nor whether that can be said.
    reader.cancel().catch(() => {});
    throw error;
  }
}

function join(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

/** Reads a body whose length HTTP itself sees to, in one go: there is nothing to count. */
async function readWhole(request: Request, late: Promise<null>, deadlineMs: number): Promise<Uint8Array> {
  const read = await Promise.race([request.arrayBuffer(), late]);
  if (read === null) throw tooSlow(deadlineMs);
  if (read.byteLength > BODY_LIMIT) throw tooLarge();
  return new Uint8Array(read);
}

async function readBytes(request: Request, deadlineMs: number): Promise<Uint8Array> {
  const body: ReadableStream<Uint8Array> | null = request.body;
  if (body === null) return new Uint8Array();
  const declared = request.headers.get("content-length");
  if (Number(declared ?? 0) > BODY_LIMIT) throw tooLarge();
  // A body that comes in chunks may go on for ever, whatever else is declared.
  const isDeclared = declared !== null && !request.headers.has("transfer-encoding");
  return inTime(deadlineMs, (late) =>
    isDeclared ? readWhole(request, late, deadlineMs) : readChunks(body, late, deadlineMs),
  );
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(bytes));
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
  const value = parseJson(await readBytes(request, deadlineMs));
  if (!isDeeper(value, DEPTH_LIMIT)) return value;
  const message = `The request body has more than ${DEPTH_LIMIT} lists and objects in one another.`;
  throw new AttuneError("invalid_request", message);
}

/**
 * The value as the schema has it.
 *
 * @throws AttuneError `invalid_request`, naming the field
 */
export function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw invalidRequest(parsed.error);
  return parsed.data;
}

/**
 * The body as the schema has it.
 *
 * @throws AttuneError as {@link readJson} and {@link parse} do
 */
export async function parseBody<T>(schema: z.ZodType<T>, request: Request): Promise<T> {
  return parse(schema, await readJson(request));
}
