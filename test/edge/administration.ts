import { env } from "cloudflare:workers";
import { expect } from "vitest";
import type { AuditEntry, Page } from "../../schema/api/admin.ts";
import type { Key, KeyWithSecret } from "../../schema/api/keys.ts";
import type { Project } from "../../schema/api/projects.ts";
import { callApp } from "./project.ts";

/** Calls the admin API: with the admin token, unless `token` says otherwise. */
export function administer(method: string, path: string, body?: unknown, token = env.ADMIN_TOKEN): Promise<Response> {
  return callApp(`/admin/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

export async function createProject(name = "Shop"): Promise<Project> {
  const response = await administer("POST", "/projects", { name });
  expect(response.status).toBe(201);
  return response.json();
}

export async function createKey(project: Project, body: object = {}): Promise<KeyWithSecret> {
  const response = await administer("POST", `/projects/${project.id}/keys`, { name: "backend", ...body });
  expect(response.status).toBe(201);
  return response.json();
}

export const keyPath = (key: Key, action = "") => `/projects/${key.project}/keys/${key.id}${action}`;

/** The changes of one project, newest first. */
export async function auditOf(project: string): Promise<AuditEntry[]> {
  return (await (await administer("GET", `/audit?project=${project}`)).json<Page<AuditEntry>>()).data;
}
