import { auditEntrySchema, auditQuerySchema, pageQuerySchema, pageSchema } from "../api/admin.ts";
import { keyCreateSchema, keyRotateSchema, keySchema, keyUpdateSchema, keyWithSecretSchema } from "../api/keys.ts";
import { projectCreateSchema, projectSchema, projectUpdateSchema } from "../api/projects.ts";
import type { Operation } from "./operation.ts";
import { describeFields, named } from "./schemas.ts";

named("ProjectRequest", projectCreateSchema);
named("ProjectUpdate", projectUpdateSchema, "What is left out stays.");
named("Project", projectSchema);
named("KeyRequest", keyCreateSchema);
named("KeyUpdate", keyUpdateSchema, "What is left out stays.");
named("KeyRotation", keyRotateSchema);
named("Key", keySchema);
named("KeyWithSecret", keyWithSecretSchema, "The only time that the secret is shown.");
named("AuditEntry", auditEntrySchema);
const VERSION = "The version that was read; with another one nothing is changed.";
describeFields(keyCreateSchema.in, {
  name: "What people call it.",
  kind: "A secret key stays on a server; a publishable one may stand in a page, and only opens sessions.",
  mode: "Marks keys of tests apart from those of production; both do the same.",
  scopes: "What it may do. Left out: all but `admin` for a secret key, `chat` and `models:read` for a publishable one.",
  bounds: "Toxicity is locked at 0 unless it is named here.",
  models: "Those it is limited to; `null`: all.",
  presets: "Those it is limited to, one of which each request must use; `null`: all.",
  origins: "Of a publishable key: the pages that may open sessions, exactly as browsers send them.",
  end_user_limits: "For each end user of the key's sessions by itself.",
  expires_at: "Unix seconds; `null`: never.",
});
describeFields(projectUpdateSchema, { version: VERSION });
describeFields(keyUpdateSchema, { version: VERSION });
describeFields(keyRotateSchema, { overlap_seconds: "How long the replaced secret goes on working." });
describeFields(pageQuerySchema, { limit: "How many.", after: "The last id of the page before." });
describeFields(auditQuerySchema, {
  limit: "How many.",
  after: "The last id of the page before.",
  project: "Of one project.",
});

export const adminOperations: Operation[] = [
  {
    id: "createProject",
    method: "post",
    path: "/admin/v1/projects",
    room: "Projects",
    summary: "Create a project",
    access: "admin_token",
    body: {
      schema: projectCreateSchema,
      examples: { shop: { summary: "With a limit", value: { name: "Shop", tokens_per_month: 10_000_000 } } },
    },
    answers: { 201: { description: "The project.", json: projectSchema } },
  },
  {
    id: "listProjects",
    method: "get",
    path: "/admin/v1/projects",
    room: "Projects",
    summary: "List projects",
    access: "admin_token",
    query: pageQuerySchema,
    answers: { 200: { description: "A page of them.", json: pageSchema(projectSchema) } },
    errors: ["invalid_request"],
  },
  {
    id: "getProject",
    method: "get",
    path: "/admin/v1/projects/{project}",
    room: "Projects",
    summary: "Read a project",
    access: "administrator",
    answers: { 200: { description: "The project.", json: projectSchema } },
    errors: ["not_found"],
  },
  {
    id: "updateProject",
    method: "patch",
    path: "/admin/v1/projects/{project}",
    room: "Projects",
    summary: "Change a project's name or limits",
    access: "admin_token",
    body: {
      schema: projectUpdateSchema,
      examples: { rename: { summary: "Another name", value: { version: 1, name: "Web shop" } } },
    },
    answers: { 200: { description: "The project as it is now.", json: projectSchema } },
    errors: ["not_found", "conflict"],
  },
  {
    id: "createKey",
    method: "post",
    path: "/admin/v1/projects/{project}/keys",
    room: "Keys",
    summary: "Create a key",
    access: "administrator",
    body: {
      schema: keyCreateSchema,
      examples: {
        backend: { summary: "For a server", value: { name: "backend", bounds: { humor: { max: 2 } } } },
        page: {
          summary: "For a web page",
          value: { name: "page", kind: "publishable", origins: ["https://shop.example.com"] },
        },
      },
    },
    answers: { 201: { description: "The key with its secret.", json: keyWithSecretSchema } },
    errors: ["not_found"],
  },
  {
    id: "listKeys",
    method: "get",
    path: "/admin/v1/projects/{project}/keys",
    room: "Keys",
    summary: "List a project's keys",
    access: "administrator",
    query: pageQuerySchema,
    answers: { 200: { description: "A page of them.", json: pageSchema(keySchema) } },
    errors: ["invalid_request", "not_found"],
  },
  {
    id: "getKey",
    method: "get",
    path: "/admin/v1/projects/{project}/keys/{key}",
    room: "Keys",
    summary: "Read a key",
    access: "administrator",
    answers: { 200: { description: "The key.", json: keySchema } },
    errors: ["not_found"],
  },
  {
    id: "updateKey",
    method: "patch",
    path: "/admin/v1/projects/{project}/keys/{key}",
    room: "Keys",
    summary: "Change a key",
    access: "administrator",
    body: {
      schema: keyUpdateSchema,
      examples: { scopes: { summary: "Fewer scopes", value: { version: 1, scopes: ["chat"] } } },
    },
    answers: { 200: { description: "The key as it is now.", json: keySchema } },
    errors: ["not_found", "conflict"],
  },
  {
    id: "rotateKey",
    method: "post",
    path: "/admin/v1/projects/{project}/keys/{key}/rotate",
    room: "Keys",
    summary: "Replace a key's secret",
    access: "administrator",
    body: {
      schema: keyRotateSchema,
      examples: { hour: { summary: "Within an hour", value: { overlap_seconds: 3600 } } },
    },
    answers: { 200: { description: "The key with its new secret.", json: keyWithSecretSchema } },
    errors: ["not_found", "conflict"],
  },
  {
    id: "revokeKey",
    method: "post",
    path: "/admin/v1/projects/{project}/keys/{key}/revoke",
    room: "Keys",
    summary: "Revoke a key, for good",
    access: "administrator",
    answers: { 200: { description: "The key as it is now.", json: keySchema } },
    errors: ["not_found"],
  },
  {
    id: "listChanges",
    method: "get",
    path: "/admin/v1/audit",
    room: "Audit",
    summary: "Read the log of changes, newest first",
    access: "administrator",
    query: auditQuerySchema,
    answers: { 200: { description: "A page of them.", json: pageSchema(auditEntrySchema) } },
    errors: ["invalid_request"],
  },
];
