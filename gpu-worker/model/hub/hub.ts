import { z } from "zod";
import { bearer, DEFAULT_TIMEOUTS } from "../download.ts";
import { fetchFailure, HttpError } from "../http-error.ts";
import { httpSource } from "../http-source.ts";
import { PATIENCE, type Patience, patiently } from "../patience.ts";
import type { FileSource, PinnedFile } from "../pinned-file.ts";
import { isCommit, isInside, type Repository } from "./hub-id.ts";
import { refusal } from "./refusal.ts";

/** The Hugging Face hub, or a server that speaks as it does. */
export type Hub = {
  /** Without a slash at its end. */
  endpoint: string;
  token: string | null;
  patience: Patience;
  timeouts: { headers: number; stall: number };
};

/** All files of a repository at one commit. */
export type Listing = z.infer<typeof listingSchema>;

const fileSchema = z.object({
  file: z.string().refine(isInside),
  bytes: z.int().positive(),
  digest: z.object({ algorithm: z.enum(["sha256", "git-blob-sha1"]), hex: z.string().regex(/^[0-9a-f]+$/) }),
}) satisfies z.ZodType<PinnedFile>;

export const listingSchema = z.object({ commit: z.string().refine(isCommit), files: z.array(fileSchema) });

/** What the hub says about a repository, as far as it is used: large files have a SHA-256, small ones only git's own hash. */
const answerSchema = z.object({
  sha: z.string().refine(isCommit),
  siblings: z.array(
    z.object({
      rfilename: z.string(),
      size: z.int().nonnegative().nullish(),
      blobId: z.string().nullish(),
      lfs: z.object({ sha256: z.string(), size: z.int().nonnegative() }).nullish(),
    }),
  ),
});

/** The hub that `HF_ENDPOINT` and `HF_TOKEN` name, as Hugging Face's own tools read them. @throws Error where they cannot be used */
export function hubFrom(env: NodeJS.ProcessEnv = process.env): Hub {
  const endpoint = (env.HF_ENDPOINT || "https://huggingface.co").replace(/\/+$/, "");
  if (!/^https?:\/\//.test(endpoint) || !URL.canParse(endpoint)) {
    throw new Error(`HF_ENDPOINT is ${endpoint}, which is not a URL such as https://huggingface.co.`);
  }
  const token = env.HF_TOKEN?.trim() || null;
  // `fetch` would refuse it with a message that shows it.
  if (token !== null && !/^[\x21-\x7e]+$/.test(token)) throw new Error("HF_TOKEN holds characters that no token has.");
  return { endpoint, token, patience: PATIENCE, timeouts: DEFAULT_TIMEOUTS };
}

/**
 * Asks which commit a revision is, and which files it has.
 *
 * @throws Error with what to do about it, whose cause is an `HttpError`, where the hub refuses
 * @throws Error where it cannot be reached or does not answer as the hub does
 */
export async function listFiles(
  hub: Hub,
  repository: Repository,
  revision: string,
  { patience = hub.patience, signal }: { patience?: Patience; signal: AbortSignal },
): Promise<Listing> {
  const { owner, name } = repository;
  const url = `${hub.endpoint}/api/models/${owner}/${name}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const ask = async () => {
    const limit = AbortSignal.timeout(hub.timeouts.headers);
    try {
      const response = await fetch(url, { headers: bearer(hub.token), signal: AbortSignal.any([limit, signal]) });
      if (response.ok) return await response.text();
      await response.body?.cancel();
      throw new HttpError(response);
    } catch (error) {
      if (limit.aborted && !signal.aborted) throw new Error(`no answer within ${hub.timeouts.headers / 1000} s`);
      throw fetchFailure(error);
    }
  };
  const text = await patiently(ask, patience, signal).catch((error: unknown) => {
    throw refusal(error, hub, { repository, revision });
  });
  const answer = answerSchema.safeParse(parsedJson(text));
  if (!answer.success) throw new Error(`${hub.endpoint} does not answer as the Hugging Face hub does`);
  return { commit: answer.data.sha, files: answer.data.siblings.flatMap(pinned) };
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A listed file, or nothing where its name leads elsewhere, it is empty, or nothing tells its content. */
function pinned(listed: z.infer<typeof answerSchema>["siblings"][number]): PinnedFile[] {
  const { rfilename: file, size, blobId, lfs } = listed;
  const digest = lfs ? { algorithm: "sha256", hex: lfs.sha256 } : { algorithm: "git-blob-sha1", hex: blobId };
  const parsed = fileSchema.safeParse({ file, bytes: lfs?.size ?? size, digest });
  return parsed.success ? [parsed.data] : [];
}

/** One file of a repository at a commit. */
export function hubSource(hub: Hub, repository: Repository, commit: string, file: string): FileSource {
  const path = file.split("/").map(encodeURIComponent).join("/");
  const { token, patience, timeouts } = hub;
  const url = `${hub.endpoint}/${repository.owner}/${repository.name}/resolve/${commit}/${path}`;
  const source = httpSource(url, { token, patience, timeouts });
  return {
    name: url,
    complete: (...told) =>
      source.complete(...told).catch((error: unknown) => {
        throw refusal(error, hub, { repository, revision: commit, file });
      }),
  };
}
