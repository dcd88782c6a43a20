import { pageSchema } from "../api/admin.ts";
import { generationsQuerySchema, usageEntrySchema, usageGroupSchema, usageQuerySchema } from "../api/usage.ts";
import type { Operation } from "./operation.ts";
import { describeFields, named } from "./schemas.ts";

named("UsageGroup", usageGroupSchema);
named("UsageEntry", usageEntrySchema, "One generation as the ledger has it.");
describeFields(usageQuerySchema, {
  from: "A day in UTC. First and last day are both included.",
  group_by: "Left out: one sum of all.",
  limit: "How many.",
  after: "The last id of the page before.",
});
describeFields(generationsQuerySchema, { limit: "How many.", after: "The last id of the page before." });

const sums = { 200: { description: "What each group used.", json: pageSchema(usageGroupSchema) } };
const entries = { 200: { description: "A page of the ledger.", json: pageSchema(usageEntrySchema) } };

export const usageOperations: Operation[] = [
  {
    id: "getUsage",
    method: "get",
    path: "/v1/usage",
    room: "Usage",
    summary: "Sum what the project used",
    access: "usage:read",
    query: usageQuerySchema,
    answers: sums,
    errors: ["invalid_request"],
  },
  {
    id: "listUsedGenerations",
    method: "get",
    path: "/v1/usage/generations",
    room: "Usage",
    summary: "List the project's generations, newest first",
    access: "usage:read",
    query: generationsQuerySchema,
    answers: entries,
    errors: ["invalid_request"],
  },
  {
    id: "getProjectUsage",
    method: "get",
    path: "/admin/v1/projects/{project}/usage",
    room: "Usage",
    summary: "Sum what a project used",
    access: "administrator",
    query: usageQuerySchema,
    answers: sums,
    errors: ["invalid_request", "not_found"],
  },
  {
    id: "listProjectGenerations",
    method: "get",
    path: "/admin/v1/projects/{project}/usage/generations",
    room: "Usage",
    summary: "List a project's generations, newest first",
    access: "administrator",
    query: generationsQuerySchema,
    answers: entries,
    errors: ["invalid_request", "not_found"],
  },
];
