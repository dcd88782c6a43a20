import type { Page } from "../../schema/api/admin.ts";

/** A page of at most `limit`, made of what was found when one more was asked for. */
export function toPage<T>(found: T[], limit: number): Page<T> {
  return { object: "list", data: found.slice(0, limit), has_more: found.length > limit };
}
