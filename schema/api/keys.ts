import { z } from "zod";
import { type Bounds, boundsSchema } from "../attributes.ts";
import { type Limits, limitSchemas, limitsSchema, NO_LIMITS } from "./limits.ts";
import { type Moderation, moderationSchema } from "./moderation.ts";
import { slugSchema } from "./preset-reference.ts";

/** What a key may be used for. */
export const SCOPES = [
  "chat",
  "attributes",
  "models:read",
  "presets:read",
  "presets:write",
  "usage:read",
  "admin",
] as const;
export type Scope = (typeof SCOPES)[number];
const scopeSchema = z.enum(SCOPES, { error: `must be one of ${SCOPES.join(", ")}` });

/** A secret key stays on a server; a publishable one may stand in a web page, and only opens sessions. */
const keyKindSchema = z.enum(["secret", "publishable"]);
export type KeyKind = z.infer<typeof keyKindSchema>;

/** Marks keys of tests apart from those of production; both do the same. */
const keyModeSchema = z.enum(["live", "test"]);

/** A page's visitor can read these, so whoever finds a publishable key may. */
const PUBLISHABLE_SCOPES: readonly Scope[] = ["chat", "attributes", "models:read"];
/** Of new keys. A page that has no use for reading texts of its visitors' own does not offer it. */
export const DEFAULT_SCOPES: Record<KeyKind, readonly Scope[]> = {
  secret: ["chat", "attributes", "models:read", "presets:read", "presets:write", "usage:read"],
  publishable: ["chat", "models:read"],
};

/** What holds for every attribute that a new key's bounds do not name: SteerLM's own safeguard against asking for toxicity. */
export const DEFAULT_KEY_BOUNDS: Bounds = { toxicity: { locked: 0 } };

/** `toxicity: {}` says otherwise: a bound without content bounds nothing. */
const keyBoundsSchema = boundsSchema.transform((bounds): Bounds => ({ ...DEFAULT_KEY_BOUNDS, ...bounds }));

const MAX_ENTRIES = 64;
const LIST_ERROR = `must hold 1 to ${MAX_ENTRIES} entries, or be null to allow all`;
const allowlist = <T extends z.ZodType>(entry: T) =>
  z.array(entry).min(1, { error: LIST_ERROR }).max(MAX_ENTRIES, { error: LIST_ERROR }).nullable();

/** Host names as browsers send them: lower case, other scripts in Punycode; or an address. */
const ORIGIN = /^https?:\/\/(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/;

/** Exactly what a browser sends as `Origin`: no path, no wildcard, no default port. */
const originSchema = z
  .string()
  .refine((text) => ORIGIN.test(text) && URL.canParse(text) && new URL(text).origin === text, {
    error: "must be an origin as browsers send it, such as https://example.com or http://localhost:3000",
  });
const originsSchema = z.array(originSchema).max(MAX_ENTRIES, { error: `must hold at most ${MAX_ENTRIES} origins` });

const nameSchema = z.string().trim().min(1, { error: "must not be empty" }).max(100);
/** Unix seconds; far enough for anyone, near enough to be a date. */
const timeSchema = z.int().min(0).max(99_999_999_999);
const scopesSchema = z.array(scopeSchema).min(1, { error: "must name at least one scope" });

/** What an administrator may change about a key, in the form it is stored and answered in. */
export type KeySettings = Limits & {
  name: string;
  scopes: readonly Scope[];
  /** Levels outside are clamped, whatever request and preset say. */
  bounds: Bounds;
  /** Models and presets it is limited to; `null`: all. With a list of presets, a request must use one of them. */
  models: readonly string[] | null;
  presets: readonly string[] | null;
  /** What becomes of its answers, and those of its sessions, where they are too toxic; `null`: nobody looks. */
  moderation: Moderation | null;
  /** Of a publishable key: the pages that may open sessions. Empty for a secret one. */
  origins: readonly string[];
  /** For each end user of the key's sessions by itself. */
  end_user_limits: Limits;
  /** Unix seconds; `null`: never. */
  expires_at: number | null;
};

/**
 * Why these settings do not fit the kind of key, or `null`.
 */
export function misfitOf(
  kind: KeyKind,
  { scopes, origins }: Pick<KeySettings, "scopes" | "origins">,
): { field: "scopes" | "origins"; message: string } | null {
  if (kind === "secret") {
    return origins.length === 0 ? null : { field: "origins", message: "belong to publishable keys; leave them out" };
  }
  const refused = scopes.filter((scope) => !PUBLISHABLE_SCOPES.includes(scope));
  if (refused.length > 0) {
    const message = `a publishable key may only have ${PUBLISHABLE_SCOPES.join(", ")}, not ${refused.join(", ")}`;
    return { field: "scopes", message };
  }
  return origins.length > 0 ? null : { field: "origins", message: "a publishable key needs at least one origin" };
}

/** The body of `POST /admin/v1/projects/{project}/keys`. */
export const keyCreateSchema = z
  .strictObject({
    name: nameSchema,
    kind: keyKindSchema.default("secret"),
    mode: keyModeSchema.default("live"),
    /** Left out: all but `admin` for a secret key, `chat` and `models:read` for a publishable one. */
    scopes: scopesSchema.optional(),
    bounds: keyBoundsSchema.default(DEFAULT_KEY_BOUNDS),
    models: allowlist(z.string().min(1).max(256)).default(null),
    presets: allowlist(slugSchema).default(null),
    moderation: moderationSchema.nullable().default(null),
    origins: originsSchema.default([]),
    requests_per_minute: limitSchemas.requests_per_minute.default(60),
    tokens_per_minute: limitSchemas.tokens_per_minute.default(100_000),
    concurrent_generations: limitSchemas.concurrent_generations.default(null),
    tokens_per_month: limitSchemas.tokens_per_month.default(null),
    end_user_limits: limitsSchema.default(NO_LIMITS),
    expires_at: timeSchema.nullable().default(null),
  })
  .transform(({ scopes, ...body }) => ({ ...body, scopes: scopes ?? DEFAULT_SCOPES[body.kind] }))
  .check((context) => {
    const misfit = misfitOf(context.value.kind, context.value);
    if (misfit === null) return;
    context.issues.push({ code: "custom", path: [misfit.field], input: context.value, message: misfit.message });
  });
export type KeyCreate = z.infer<typeof keyCreateSchema>;

/** The body of `PATCH …/keys/{key}`: what is left out stays, `version` is the one that was read. */
export const keyUpdateSchema = z.strictObject({
  version: z.int().positive(),
  name: nameSchema.optional(),
  scopes: scopesSchema.optional(),
  bounds: keyBoundsSchema.optional(),
  models: allowlist(z.string().min(1).max(256)).optional(),
  presets: allowlist(slugSchema).optional(),
  moderation: moderationSchema.nullable().optional(),
  origins: originsSchema.optional(),
  requests_per_minute: limitSchemas.requests_per_minute.optional(),
  tokens_per_minute: limitSchemas.tokens_per_minute.optional(),
  concurrent_generations: limitSchemas.concurrent_generations.optional(),
  tokens_per_month: limitSchemas.tokens_per_month.optional(),
  end_user_limits: limitsSchema.optional(),
  expires_at: timeSchema.nullable().optional(),
});

/** Longest time that a replaced secret goes on working: 30 days, in seconds. */
const MAX_OVERLAP = 2_592_000;

/** The body of `POST …/keys/{key}/rotate`: for how many seconds the replaced secret goes on working, a day unless said. */
export const keyRotateSchema = z.strictObject({
  overlap_seconds: z
    .int()
    .min(0)
    .max(MAX_OVERLAP, { error: `must be at most ${MAX_OVERLAP}, which is 30 days` })
    .default(86_400),
});

/** A key as every admin route answers it. Never with its secret, but for the two routes that make one. */
export const keySchema = z.object({
  object: z.literal("key"),
  id: z.string(),
  project: z.string(),
  kind: keyKindSchema,
  hint: z
    .string()
    .describe("What a person recognises it by: its prefix, where it is known, and its last four characters."),
  name: z.string(),
  scopes: z.array(scopeSchema),
  bounds: boundsSchema,
  models: z.array(z.string()).nullable(),
  presets: z.array(z.string()).nullable(),
  moderation: moderationSchema
    .nullable()
    .describe("What becomes of answers whose toxicity is read to be above the level; `null`: nobody looks."),
  origins: z.array(z.string()),
  ...limitSchemas,
  end_user_limits: z.object(limitSchemas),
  expires_at: z.int().nullable().describe("Unix seconds; `null`: never."),
  revoked_at: z.int().nullable(),
  replaced_works_until: z
    .int()
    .nullable()
    .describe("Until when the secret before the last rotation works; `null` where there is none."),
  rehash_pending: z
    .boolean()
    .describe("Whether its hash is not known to be under the present pepper. Using the key renews the hash."),
  version: z.int().describe("Counts up by one with every change, from 1."),
  created_at: z.int().describe("Unix seconds."),
});
export type Key = Omit<z.infer<typeof keySchema>, keyof KeySettings> & KeySettings;

/** The answer that holds a new secret, the only time it is shown. */
export const keyWithSecretSchema = keySchema.extend({ secret: z.string() });
export type KeyWithSecret = Key & { secret: string };
