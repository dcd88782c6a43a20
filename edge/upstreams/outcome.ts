import type { ErrorCode } from "../../schema/wire/errors.ts";
import { type Refusal, readRefusal } from "./refusal.ts";

/** How one worker took a request. `elsewhere`: it did no work for it, so that another may be asked. */
export type Outcome =
  | { kind: "admitted"; response: Response }
  | { kind: "refused"; refusal: Refusal; headers: Headers; elsewhere: boolean }
  /** It was not reached, broke off, or is not ours. */
  | { kind: "failed"; cause: unknown; elsewhere: boolean }
  /** Nobody waited for its answer any more. */
  | { kind: "abandoned" };

/** A worker refuses these before any work, and for reasons of its own. */
const REFUSED_UNDONE: readonly (string | null)[] = [
  "queue_full",
  "worker_unavailable",
  "model_not_found",
] satisfies ErrorCode[];

/**
 * Statuses by which Cloudflare says that it did not get through to the worker: refused, timed out, unreachable, TLS, DNS. And 401, by which
 * the worker says that it did not take the request for ours.
 */
const NOT_REACHED: readonly number[] = [401, 521, 522, 523, 525, 526, 530];

/** Reads what a worker answered. */
export async function readOutcome(response: Response, what: string): Promise<Outcome> {
  if (response.ok) return { kind: "admitted", response };
  const refusal = await readRefusal(response);
  if (refusal !== null) {
    const elsewhere = REFUSED_UNDONE.includes(refusal.body.error.code);
    return { kind: "refused", refusal, headers: response.headers, elsewhere };
  }
  const cause = `${what} answered ${response.status}`;
  return { kind: "failed", cause, elsewhere: NOT_REACHED.includes(response.status) };
}
