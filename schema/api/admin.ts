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
export type Page<T> = {
  object: "list";
  data: T[];
  /** Whether there are more; ask for them with `after`, the last id of this page. */
  has_more: boolean;
};

export type AuditAction =
  | "project.create"
  | "project.update"
  | "key.create"
  | "key.update"
  | "key.rotate"
  | "key.revoke";

/** One administrative change. */
export type AuditEntry = {
  object: "audit_entry";
  /** Counts up. */
  id: number;
  /** Unix seconds. */
  at: number;
  /** `admin_token`, or the id of the key that did it. */
  actor: string;
  action: AuditAction;
  project: string;
  /** Id of what was changed. */
  target: string;
  /** What it was set to; never a secret. */
  changes: Record<string, unknown>;
  request_id: string;
};
