import { z } from "zod";

/**
 * Every error that leaves Attune, from the deepest room to the client, has one shape (OpenAI's) and one of these codes.
 * `status` is the HTTP status, `type` OpenAI's error family.
 */
const CODES = {
  /** The body is not JSON, or a field has a wrong value. */
  invalid_request: { status: 400, type: "invalid_request_error" },
  /** The field exists in OpenAI's API and this server cannot honour it. */
  unsupported_parameter: { status: 400, type: "invalid_request_error" },
  /** Prompt and max_tokens together exceed the model's context. */
  context_length_exceeded: { status: 400, type: "invalid_request_error" },
  /** The key's moderation withholds every answer to the request. */
  content_filtered: { status: 400, type: "invalid_request_error" },
  invalid_api_key: { status: 401, type: "authentication_error" },
  /** The session's time is over; its page opens another one. */
  session_expired: { status: 401, type: "authentication_error" },
  /** The edge's signature on a worker request is missing, wrong, stale or replayed. */
  invalid_signature: { status: 401, type: "authentication_error" },
  /** The key is good, but not for this: its scopes, its allowlists, or the page it is used on. */
  permission_denied: { status: 403, type: "permission_error" },
  not_found: { status: 404, type: "invalid_request_error" },
  model_not_found: { status: 404, type: "invalid_request_error" },
  preset_not_found: { status: 404, type: "invalid_request_error" },
  method_not_allowed: { status: 405, type: "invalid_request_error" },
  /** It exists already, or somebody else changed it first. */
  conflict: { status: 409, type: "invalid_request_error" },
  /** Its owner cancelled the generation. */
  generation_cancelled: { status: 409, type: "invalid_request_error" },
  /** It was kept, and is no more; or it was never to be kept. */
  not_kept: { status: 410, type: "invalid_request_error" },
  /** `If-Match` or `If-None-Match` says so: it is not as the caller last saw it, or there already. */
  precondition_failed: { status: 412, type: "invalid_request_error" },
  /** The body did not arrive in time. */
  request_timeout: { status: 408, type: "invalid_request_error" },
  request_too_large: { status: 413, type: "invalid_request_error" },
  headers_too_large: { status: 431, type: "invalid_request_error" },
  /** The Idempotency-Key stands for another request. */
  idempotency_mismatch: { status: 422, type: "invalid_request_error" },
  rate_limit_exceeded: { status: 429, type: "rate_limit_error" },
  /** The month's tokens are used up; another try in a minute does not help. */
  budget_exceeded: { status: 429, type: "insufficient_quota" },
  /** The worker's queue is full. */
  queue_full: { status: 429, type: "rate_limit_error" },
  internal_error: { status: 500, type: "server_error" },
  /** The worker failed while it generated. */
  generation_failed: { status: 500, type: "server_error" },
  /** No worker is ready: starting, draining or unreachable. */
  worker_unavailable: { status: 503, type: "server_error" },
  /** The key's moderation withholds what it cannot read, and it could not read the answer. */
  moderation_unavailable: { status: 503, type: "server_error" },
  /** The request's `deadline_ms` passed before its answer was begun. */
  deadline_exceeded: { status: 504, type: "server_error" },
} as const satisfies Record<string, { status: number; type: string }>;

export type ErrorCode = keyof typeof CODES;
export type ErrorStatus = (typeof CODES)[ErrorCode]["status"];

export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(CODES, code);
}

export const errorBodySchema = z.object({
  error: z.object({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string().nullable(),
  }),
});
export type ErrorBody = z.infer<typeof errorBodySchema>;

const MARKER = Symbol.for("attune.error");

/** An error that knows how to tell its caller what to do next. Marked by symbol, so it survives duplicate modules. */
export class AttuneError extends Error {
  readonly [MARKER] = true;
  override readonly name = "AttuneError";
  readonly code: ErrorCode;
  /** Path of the offending field, as `steer.attributes.humor`. */
  readonly param: string | null;

  constructor(code: ErrorCode, message: string, options: { param?: string; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.param = options.param ?? null;
  }

  get status(): ErrorStatus {
    return CODES[this.code].status;
  }

  toBody(): ErrorBody {
    return { error: { message: this.message, type: CODES[this.code].type, param: this.param, code: this.code } };
  }

  static isInstance(value: unknown): value is AttuneError {
    return typeof value === "object" && value !== null && MARKER in value;
  }
}

/** Whatever was thrown, as an error fit for a client: ours unchanged, anything else without its inner text. */
export function toAttuneError(thrown: unknown): AttuneError {
  if (AttuneError.isInstance(thrown)) return thrown;
  return new AttuneError("internal_error", "The server failed. Try again; if it persists, report the x-request-id.", {
    cause: thrown,
  });
}

/** The request waited until its deadline; nothing was computed for it. */
export function deadlineExceeded(): AttuneError {
  const message =
    "The server was busy until the deadline, so the answer was not begun. Raise deadline_ms, or try again later.";
  return new AttuneError("deadline_exceeded", message, { param: "deadline_ms" });
}

/** The first issue of a failed parse, as a 400 that names the field. `prefix` is the path of the parsed value. */
export function invalidRequest(error: z.ZodError): AttuneError {
  const issue = error.issues[0];
  const param = issue?.path.map(String).join(".") ?? "";
  const message = issue?.message ?? "The request is not valid.";
  return new AttuneError(
    "invalid_request",
    param === "" ? message : `${param}: ${message}`,
    param === "" ? {} : { param },
  );
}
