import { z } from "zod";
import { errorBodySchema } from "../../schema/wire/errors.ts";
import { DEFAULT_STATE_DIRECTORY, statePaths } from "../stack/paths.ts";
import { loadSecrets } from "../stack/secrets.ts";
import { runningUrl } from "../stack/state-lock.ts";

export const URL_VARIABLE = "ATTUNE_URL";
export const TOKEN_VARIABLE = "ATTUNE_ADMIN_TOKEN";

/** An edge's origin, and what opens its admin API. */
type Edge = { url: string; token: string };

export type EdgeOptions = { url?: string; stateDirectory?: string };

/**
 * The edge that the user means: the one named, with the token of the environment; without a name the one that `npm start` runs here,
 * with its own token, which is sent nowhere else.
 *
 * @throws Error that says what to set
 */
export function findEdge({ url, stateDirectory }: EdgeOptions): Edge {
  const token = process.env[TOKEN_VARIABLE] ?? "";
  if (url !== undefined) {
    if (!/^https?:\/\//.test(url) || !URL.canParse(url))
      throw new Error(`${url} is no URL such as https://api.example.com.`);
    if (token !== "") return { url: new URL(url).origin, token };
    throw new Error(`Set ${TOKEN_VARIABLE} to the ADMIN_TOKEN of ${url}, or to a key with the scope admin.`);
  }
  const paths = statePaths(stateDirectory ?? DEFAULT_STATE_DIRECTORY);
  const running = runningUrl(paths);
  if (running === null) {
    throw new Error(`No Attune runs from ${paths.directory}. Start it with npm start, or name a server with --url.`);
  }
  return { url: running, token: token === "" ? loadSecrets(paths.secrets).adminToken : token };
}

/**
 * Calls a route under /admin/v1.
 *
 * @throws Error with the server's own words
 */
export async function callAdmin(edge: Edge, method: string, path: string, body?: unknown): Promise<unknown> {
  const headers = { authorization: `Bearer ${edge.token}`, "content-type": "application/json" };
  let response: Response;
  try {
    response = await fetch(`${edge.url}/admin/v1${path}`, {
      method,
      headers,
      // A token is for the server it was given for.
      redirect: "error",
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  } catch (error) {
    throw new Error(`${edge.url} cannot be reached. Is it running, and is the address right?`, { cause: error });
  }
  const answer: unknown = await response.json().catch(() => null);
  if (response.ok) return answer;
  const refusal = errorBodySchema.safeParse(answer);
  throw new Error(refusal.success ? refusal.data.error.message : `${edge.url} answered ${response.status}.`);
}

const pageSchema = z.object({
  data: z.array(z.looseObject({ id: z.union([z.string(), z.number()]) })),
  has_more: z.boolean(),
});

/** Entries of a list, over all its pages, or the first `most` of them. */
export async function listAdmin(edge: Edge, path: string, most = Number.POSITIVE_INFINITY): Promise<unknown[]> {
  const entries: unknown[] = [];
  let after = "";
  while (true) {
    const limit = Math.min(100, most - entries.length);
    const join = path.includes("?") ? "&" : "?";
    const page = pageSchema.parse(await callAdmin(edge, "GET", `${path}${join}limit=${limit}${after}`));
    entries.push(...page.data);
    if (!page.has_more || entries.length >= most) return entries;
    after = `&after=${page.data.at(-1)?.id}`;
  }
}
