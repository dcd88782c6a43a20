import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { app } from "../../edge/app.ts";
import type { AuditEntry, Page } from "../../schema/api/admin.ts";
import type { KeyWithSecret } from "../../schema/api/keys.ts";
import type { Project } from "../../schema/api/projects.ts";
import { administer, auditOf, createKey, createProject, keyPath } from "./administration.ts";
import { callApp, expectError, issueKey, keyRow, ORIGIN } from "./project.ts";

describe("the admin API", () => {
  it("opens to the admin token, and to no other", async () => {
    expect((await administer("GET", "/projects")).status).toBe(200);
    for (const token of [`${env.ADMIN_TOKEN}x`, "x"]) {
      await expectError(await administer("GET", "/projects", undefined, token), 401, "invalid_api_key", /ADMIN_TOKEN/);
    }
    expect((await callApp("/admin/v1/projects")).status).toBe(401);
    await expectError(
      await administer("GET", "/projects", undefined, await issueKey()),
      403,
      "permission_denied",
      /lacks the scope admin/,
    );
  });

  it("stays shut where the server's token is shorter than 32 characters", async () => {
    const headers = { authorization: "Bearer short" };
    expect((await callApp("/admin/v1/projects", { headers }, { ADMIN_TOKEN: "short" })).status).toBe(401);
  });

  it("stays shut where the server has no token", async () => {
    const { ADMIN_TOKEN: _, ...others } = env;
    const request = new Request(`${ORIGIN}/admin/v1/projects`, { headers: { authorization: "Bearer undefined" } });
    expect((await app.fetch(request, others, createExecutionContext())).status).toBe(401);
  });

  it("is not for pages of other origins, nor for caches", async () => {
    const response = await administer("GET", "/projects");
    expect(response.headers.has("access-control-allow-origin")).toBe(false);
    expect(response.headers.get("cache-control")).toBe("no-store");
  });

  it("answers what it does not have in OpenAI's form", async () => {
    await expectError(await administer("GET", "/nothing"), 404, "not_found", /no GET \/admin\/v1\/nothing/);
    await expectError(await administer("DELETE", "/projects"), 405, "method_not_allowed", /it takes .*POST/);
    await expectError(await administer("GET", "/projects/none/keys"), 404, "not_found", /no project none/);
    const project = await createProject();
    await expectError(await administer("GET", `/projects/${project.id}/keys/none`), 404, "not_found", /no key none/);
  });
});

describe("a key with the scope admin", () => {
  it("administers its own project, and is told nothing of others", async () => {
    const [own, other] = [await createProject(), await createProject()];
    const { secret, id } = await createKey(own, { scopes: ["admin"] });
    const asKey = (method: string, path: string, body?: unknown) => administer(method, path, body, secret);
    expect((await asKey("POST", `/projects/${own.id}/keys`, { name: "made by a key" })).status).toBe(201);
    expect((await asKey("GET", `/projects/${own.id}`)).status).toBe(200);
    for (const path of [`/projects/${other.id}`, `/projects/${other.id}/keys`, "/projects/none"]) {
      await expectError(await asKey("GET", path), 404, "not_found", /no project .* that you administer/);
    }
    for (const response of [
      await asKey("GET", "/projects"),
      await asKey("POST", "/projects", { name: "x" }),
      await asKey("GET", `/audit?project=${other.id}`),
    ]) {
      await expectError(response, 403, "permission_denied", /administers the project .* only/);
    }
    const { data } = await (await asKey("GET", "/audit")).json<Page<AuditEntry>>();
    expect(data.every((entry) => entry.project === own.id)).toBe(true);
    expect(data[0]).toMatchObject({ action: "key.create", actor: id });
  });
});

describe("projects", () => {
  it("are created, read, and listed page by page", async () => {
    const made = [await createProject("a"), await createProject("b"), await createProject("c")];
    expect(await (await administer("GET", `/projects/${made[0]?.id}`)).json()).toEqual(made[0]);
    const seen: string[] = [];
    let after = "";
    for (let more = true; more; ) {
      const page = await (await administer("GET", `/projects?limit=2${after}`)).json<Page<Project>>();
      expect(page.data.length).toBeLessThanOrEqual(2);
      seen.push(...page.data.map(({ id }) => id));
      after = `&after=${page.data.at(-1)?.id}`;
      more = page.has_more;
    }
    expect(new Set(seen).size).toBe(seen.length);
    for (const { id } of made) expect(seen).toContain(id);
  });

  it.each([{ name: "" }, { name: "x".repeat(101) }, {}, { name: "a", owner: "b" }])(
    "like %j are refused",
    async (body) => {
      expect((await administer("POST", "/projects", body)).status).toBe(400);
    },
  );
});

describe("the audit log", () => {
  it("tells who changed what, when and in which request, newest first, and no secret", async () => {
    const project = await createProject("Audited");
    const { secret: first, ...key } = await createKey(project, { models: ["plain"] });
    await administer("PATCH", keyPath(key), { version: 1, requests_per_minute: 5 });
    const { secret } = await (await administer("POST", keyPath(key, "/rotate"), {})).json<KeyWithSecret>();
    await administer("POST", keyPath(key, "/revoke"));
    const entries = await auditOf(project.id);
    expect(entries.map(({ action, target, changes }) => ({ action, target, changes }))).toMatchObject([
      { action: "key.revoke", target: key.id },
      { action: "key.rotate", target: key.id, changes: { overlap_seconds: 86_400 } },
      { action: "key.update", target: key.id, changes: { requests_per_minute: 5 } },
      { action: "key.create", target: key.id, changes: { name: "backend", models: ["plain"], kind: "secret" } },
      { action: "project.create", target: project.id, changes: { name: "Audited" } },
    ]);
    for (const entry of entries) {
      expect(entry).toMatchObject({ object: "audit_entry", actor: "admin_token", project: project.id });
      expect(entry.request_id).toMatch(/^req_/);
      expect(Math.abs(entry.at - Date.now() / 1000)).toBeLessThan(60);
    }
    const row = await keyRow(key.id);
    for (const hidden of [first, secret, row?.hash]) expect(JSON.stringify(entries)).not.toContain(hidden);
  });

  it("is read page by page", async () => {
    const project = await createProject();
    for (let count = 0; count < 4; count++) await createKey(project);
    const read = async (query: string) =>
      (await administer("GET", `/audit?project=${project.id}&${query}`)).json<Page<AuditEntry>>();
    const first = await read("limit=3");
    expect([first.data.length, first.has_more]).toEqual([3, true]);
    const second = await read(`limit=3&after=${first.data.at(-1)?.id}`);
    expect(second.data.map(({ action }) => action)).toEqual(["key.create", "project.create"]);
    expect(second.has_more).toBe(false);
  });

  it.each(["limit=0", "limit=101", "limit=x", "after=x"])("asked for with %s is a 400", async (query) => {
    expect((await administer("GET", `/audit?${query}`)).status).toBe(400);
  });
});
