import { AttuneError, type ErrorCode, isErrorCode } from "../wire/errors.ts";
import type { Operation } from "./operation.ts";

/** What each code means to whoever gets it. */
const ERROR_MEANINGS: Record<ErrorCode, string> = {
  invalid_request: "The body is not JSON, or `param` names a field with a wrong value.",
  unsupported_parameter: "The field exists in OpenAI's API, and this server cannot honour it.",
  context_length_exceeded: "Prompt and `max_tokens` together exceed the model's context.",
  content_filtered: "The key's moderation withholds every answer to the request.",
  invalid_api_key: "The key or session is missing, unknown, expired or revoked.",
  session_expired: "The session is over; open another one.",
  invalid_signature: "The signature between edge and worker is wrong; no client ever gets this.",
  permission_denied: "The key is good, but not for this: its scopes, its allowlists, or the page that it is used on.",
  not_found: "There is no such thing, or not for this key.",
  model_not_found: "No such model is served.",
  preset_not_found: "There is no such preset, or not this version of it.",
  method_not_allowed: "The path does not take this method.",
  conflict: "It exists already, or somebody else changed it first.",
  generation_cancelled: "The generation was cancelled by its owner.",
  not_kept: "It was kept and is no more, or it was never to be kept.",
  precondition_failed: "`If-Match` or `If-None-Match` says so: it is not as you last saw it.",
  request_timeout: "The body did not arrive in time.",
  request_too_large: "The body is larger than 1 MiB.",
  headers_too_large: "The headers are larger than 32 KiB, or more than 128.",
  idempotency_mismatch: "The `Idempotency-Key` stands for another request.",
  rate_limit_exceeded: "A limit of key, project or end user; `Retry-After` says when to come again.",
  budget_exceeded: "The month's tokens are used up.",
  queue_full: "The inference worker's queue is full; try again shortly.",
  internal_error: "The server failed.",
  generation_failed: "The inference worker failed while it generated.",
  worker_unavailable: "No inference worker is ready; `Retry-After` says when to come again.",
  moderation_unavailable: "The key's moderation could not read the answer, and withholds it.",
  deadline_exceeded: "`deadline_ms` passed before the answer was begun.",
};

export const ERROR_CODES = Object.keys(ERROR_MEANINGS).filter(isErrorCode);

const statusOf = (code: ErrorCode) => new AttuneError(code, "").status;

/** What may go wrong with every operation that this one is like. */
function commonCodes({ access, body }: Operation): ErrorCode[] {
  const isForSessions = !["publishable", "administrator", "admin_token"].includes(access);
  return [
    "invalid_api_key",
    ...(isForSessions ? (["session_expired"] as const) : []),
    "permission_denied",
    "headers_too_large",
    "rate_limit_exceeded",
    "internal_error",
    ...(body === undefined ? [] : (["invalid_request", "request_timeout", "request_too_large"] as const)),
  ];
}

/** The codes an operation may answer with, by status, in the order of the list of all codes. */
export function errorsByStatus(operation: Operation): Map<number, ErrorCode[]> {
  const possible = new Set([...commonCodes(operation), ...(operation.errors ?? [])]);
  const ordered = ERROR_CODES.filter((code) => possible.has(code));
  return Map.groupBy(ordered, statusOf);
}

/** Several codes and what they mean, in words. */
export const describeCodes = (codes: readonly ErrorCode[]): string =>
  codes.map((code) => `- \`${code}\`: ${ERROR_MEANINGS[code]}`).join("\n");
