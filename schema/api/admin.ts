import { z } from "zod";

const MAX_PAGE = 100;
const count = z.coerce
  .number({ error: `must be a number from 1 to ${MAX_PAGE}` })
  .int()
  .min(1)
  .max(MAX_PAGE);

/** Query of a list: how many, and the id of the last one of the page before. */
export const pageQuerySchema = z.object({ limit: count.default(50), after: z.string().max(128).optional() });
export type PageQuery = z.infer<typeof pageQuerySchema>;

/** Query of the audit log, which goes back in time. */
export const auditQuerySchema = z.object({
  limit: count.default(50),
  after: z.coerce.number({ error: "must be the id of an entry" }).int().positive().optional(),
  project: z.string().max(128).optional(),
});
export type AuditQuery = z.infer<typeof auditQuerySchema>;

/** One page of a list. */
export const pageSchema = <T extends z.ZodType>(entry: T) =>
  z.object({
    object: z.literal("list"),
    data: z.array(entry),
    has_more: z.boolean().describe("Whether there are more; ask for them with `after`, the last id of this page."),
  });
export type Page<T> = z.infer<ReturnType<typeof pageSchema<z.ZodType<T>>>>;

const auditActionSchema = z.enum([
  "project.create",
  "project.update",
  "key.create",
  "key.update",
  "key.rotate",
  "key.revoke",
]);
export type AuditAction = z.infer<typeof auditActionSchema>;

/** One administrative change. */
export const auditEntrySchema = z.object({
  object: z.literal("audit_entry"),
  id: z.int().describe("Counts up."),
  at: z.int().describe("Unix seconds."),
  actor: z.string().describe("`admin_token`, or the id of the key that did it."),
  action: auditActionSchema,
  project: z.string(),
  target: z.string().describe("Id of what was changed."),
  changes: z.record(z.string(), z.unknown()).describe("What it was set to; never a secret."),
  request_id: z.string(),
});
export type AuditEntry = z.infer<typeof auditEntrySchema>;
