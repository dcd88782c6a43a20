import { HttpError } from "../http-error.ts";
import type { Repository } from "./hub-id.ts";

type Asked = { repository: Repository; revision: string; file?: string };

/** What the hub's refusal means and what to do about it; any other failure as it is. */
export function refusal(error: unknown, { endpoint, token }: { endpoint: string; token: string | null }, asked: Asked) {
  if (!(error instanceof HttpError)) return error;
  return new Error(meaning(error, endpoint, token !== null, asked), { cause: error });
}

/** The hub answers 401, not 404, to a stranger who asks for what does not exist: else one could tell what is private. */
function meaning(error: HttpError, endpoint: string, hasToken: boolean, asked: Asked): string {
  const { status, code, retryAfter, message } = error;
  const repository = `${asked.repository.owner}/${asked.repository.name}`;
  const page = `${endpoint}/${repository}`;
  if (code === "GatedRepo") {
    const accept = `accept its licence at ${page}`;
    return hasToken
      ? `${repository} is gated, and the account of HF_TOKEN has no access (${message}): ${accept}, and see that the token may read gated repositories`
      : `${repository} is gated (${message}): ${accept}, then set HF_TOKEN to a token of that account (${endpoint}/settings/tokens)`;
  }
  if (code === "RevisionNotFound") return `${repository} has no branch, tag or commit ${asked.revision} (${message})`;
  if (code === "EntryNotFound") return `${repository} has no file ${asked.file} at ${asked.revision} (${message})`;
  if (status === 401 && hasToken && code === null) {
    return `${endpoint} does not accept HF_TOKEN (${message}): set it to a valid token, or unset it for what is public`;
  }
  if (status === 401 || status === 403 || status === 404) {
    const way = hasToken ? "the account of HF_TOKEN has no access to it" : "it is private and HF_TOKEN is not set";
    return `there is no ${repository} on ${endpoint}, or ${way} (${message}): check the spelling`;
  }
  if (status === 429) {
    const when = retryAfter === null ? "later" : `in ${Math.ceil(retryAfter / 1000)} s`;
    const more = hasToken ? "" : "; with HF_TOKEN set, more are allowed";
    return `${endpoint} takes no more requests from here for now (${message}): try again ${when}${more}`;
  }
  if (status >= 500) return `${endpoint} has a failure of its own (${message}): try again later`;
  return message;
}
