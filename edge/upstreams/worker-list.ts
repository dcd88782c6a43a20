import { z } from "zod";
import { AttuneError } from "../../schema/wire/errors.ts";

/** Cloudflare's codes of continents. A worker's region is the continent whose callers it is nearest to. */
const REGIONS = ["AF", "AN", "AS", "EU", "NA", "OC", "SA"] as const;
export type Region = (typeof REGIONS)[number];

/** Whether the text is one of Cloudflare's codes of continents. */
const isRegion = (text: unknown): text is Region => REGIONS.some((region) => region === text);

/** Where a request comes from, as far as Cloudflare says. */
export function regionOf(request: Request): Region | null {
  const continent = request.cf?.continent;
  return isRegion(continent) ? continent : null;
}

/** An inference worker, as the edge's configuration names it. */
export type WorkerEntry = {
  origin: string;
  /** How much more than a worker of weight 1 it is given. */
  weight: number;
  region: Region | null;
  /** The only models that it is asked for; `null`: all that it serves. */
  models: readonly string[] | null;
};

/** A URL that is an origin and no more: what is asked of a worker, and as whom, is up to the edge. */
const originSchema = z.string().transform((text, context): string => {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url !== null && /^https?:$/.test(url.protocol) && url.href === `${url.origin}/`) return url.origin;
  context.addIssue({
    code: "custom",
    message: `${JSON.stringify(text)} is not an origin such as https://gpu-1.example`,
  });
  return z.NEVER;
});

const WORKER_LIMIT = 64;

const workersSchema = z
  .array(
    z
      .strictObject({
        url: originSchema,
        weight: z.number().min(0.01).max(1000).default(1),
        region: z
          .enum(REGIONS, { error: `must be a continent: ${REGIONS.join(", ")}` })
          .nullable()
          .default(null),
        models: z.array(z.string().min(1)).min(1).nullable().default(null),
      })
      .transform(({ url, ...rest }): WorkerEntry => ({ origin: url, ...rest })),
    { error: 'must be a list such as [{"url": "https://gpu-1.example"}]' },
  )
  .min(1, { error: "must name at least one worker" })
  .max(WORKER_LIMIT, { error: `must name at most ${WORKER_LIMIT} workers` })
  .superRefine((workers, context) => {
    for (const [index, { origin }] of workers.entries()) {
      if (workers.findIndex((other) => other.origin === origin) === index) continue;
      context.addIssue({ code: "custom", message: `${origin} is named before`, path: [index, "url"] });
    }
  });

/** What `WORKERS` or `WORKER_URL` says. `cause` is for the log: callers are told nothing of how the server is set up. */
function misconfigured(cause: string): AttuneError {
  const message =
    "This server's list of inference workers is wrong, so it can answer nothing. Its operator finds why in the log.";
  return new AttuneError("internal_error", message, { cause });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw misconfigured(`WORKERS is not JSON: ${String(error)}`);
  }
}

/**
 * The configured workers: those of `WORKERS`, a list as JSON; where that is not set, the one at `WORKER_URL`.
 *
 * @throws AttuneError `internal_error`, whose cause tells the field
 */
export function parseWorkerList({
  WORKERS,
  WORKER_URL,
}: {
  WORKERS?: string | undefined;
  WORKER_URL?: string | undefined;
}): WorkerEntry[] {
  const listed = WORKERS !== undefined && WORKERS !== "";
  const parsed = workersSchema.safeParse(listed ? parseJson(WORKERS) : [{ url: WORKER_URL ?? "" }]);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  if (!listed) throw misconfigured(`WORKER_URL: ${issue?.message}`);
  const path = (issue?.path ?? []).map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`));
  throw misconfigured(`WORKERS${path.join("")}: ${issue?.message}`);
}
