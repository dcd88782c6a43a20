import type { Limits } from "../../schema/api/limits.ts";
import type { projects } from "../../schema/database/tables.ts";

/** The columns that keys and projects have alike. */
type LimitColumns = Pick<
  typeof projects.$inferSelect,
  "requestsPerMinute" | "tokensPerMinute" | "concurrentGenerations" | "tokensPerMonth"
>;

export const toLimits = (row: LimitColumns): Limits => ({
  requests_per_minute: row.requestsPerMinute,
  tokens_per_minute: row.tokensPerMinute,
  concurrent_generations: row.concurrentGenerations,
  tokens_per_month: row.tokensPerMonth,
});

export function toLimitColumns(limits: Limits): LimitColumns;
export function toLimitColumns(limits: Partial<{ [Name in keyof Limits]: Limits[Name] | undefined }>): {
  [Name in keyof LimitColumns]: LimitColumns[Name] | undefined;
};
/** What is left out of the limits is `undefined`, which a database leaves alone. */
export function toLimitColumns(limits: Partial<{ [Name in keyof Limits]: Limits[Name] | undefined }>) {
  return {
    requestsPerMinute: limits.requests_per_minute,
    tokensPerMinute: limits.tokens_per_minute,
    concurrentGenerations: limits.concurrent_generations,
    tokensPerMonth: limits.tokens_per_month,
  };
}
