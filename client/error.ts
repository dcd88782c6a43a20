import type { components } from "./document.ts";
import { parseJson } from "./json.ts";

/** What the server says is wrong, or what keeps the client from hearing of it. */
export type ErrorCode =
  | components["schemas"]["Error"]["error"]["code"]
  | "connection_failed"
  | "broken_off"
  | "unreadable";

/** Anything that went wrong with a request, but that its own `signal` was aborted, which is thrown as it is. */
export class AttuneError extends Error {
  override readonly name = "AttuneError";
  /** HTTP status; `null` where no answer came, or where it failed after it had begun. */
  readonly status: number | null;
  readonly code: ErrorCode | (string & {});
  /** The field that is wrong, as `steer.attributes.humor`. */
  readonly param: string | null;
  /** What the server's logs call the request. */
  readonly requestId: string | null;

  constructor(
    message: string,
    details: {
      status?: number;
      code: ErrorCode | (string & {});
      param?: string | null;
      requestId?: string | null;
      cause?: unknown;
    },
  ) {
    super(message, { cause: details.cause });
    this.status = details.status ?? null;
    this.code = details.code;
    this.param = details.param ?? null;
    this.requestId = details.requestId ?? null;
  }
}

type Said = { message: string; code: string; param: string | null };

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;

/** What a body in OpenAI's form says; `null` where it is none. */
export function readErrorBody(body: unknown): Said | null {
  const error = isRecord(body) ? body.error : null;
  if (!isRecord(error) || typeof error.message !== "string") return null;
  const { message, code, param } = error;
  return {
    message,
    code: typeof code === "string" ? code : "unreadable",
    param: typeof param === "string" ? param : null,
  };
}

/** The error that an answer is. */
export async function toError(response: Response): Promise<AttuneError> {
  const text = await response.text().catch(() => "");
  const details = { status: response.status, requestId: response.headers.get("x-request-id") };
  const said = readErrorBody(parseJson(text));
  if (said !== null) return new AttuneError(said.message, { ...details, ...said });
  const message = `The server answered ${response.status} with what is no error of Attune's. Check baseURL.`;
  return new AttuneError(message, { ...details, code: "unreadable", cause: text.slice(0, 1000) });
}
