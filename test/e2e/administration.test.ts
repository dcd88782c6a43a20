import { execFile } from "node:child_process";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { repository } from "../../scripts/stack/paths.ts";
import { runningEdge } from "./running-edge.ts";

const idSchema = z.object({ id: z.string() });
const secretSchema = idSchema.extend({ secret: z.string() });

describe("npm run attune", () => {
  const edge = runningEdge();

  type Run = { code: number; output: unknown; errors: string };

  function run(args: string[], environment: Record<string, string> = {}): Promise<Run> {
    const options = { cwd: repository, env: { PATH: process.env.PATH ?? "", ...environment } };
    return new Promise((resolve) => {
      execFile(process.execPath, ["scripts/attune.ts", ...args], options, (error, stdout, stderr) =>
        resolve({
          code: error === null ? 0 : Number(error.code),
          output: stdout === "" ? null : JSON.parse(stdout),
          errors: stderr,
        }),
      );
    });
  }

  /** Against the server that runs from the state directory, which needs no address and no token. */
  const attune = (...args: string[]) => run(["--state-directory", edge.stateDirectory, ...args]);
  const listPresets = async (key: string) =>
    (await fetch(`${edge.current().url}/v1/presets`, { headers: { authorization: `Bearer ${key}` } })).status;

  it("makes a project and a key that works, changes it, rotates it, revokes it, and shows who did what", async () => {
    const project = idSchema.parse((await attune("projects", "create", "Shop")).output).id;
    expect((await attune("projects", "list")).output).toMatchObject([{ id: project, name: "Shop" }]);
    const on = (...args: string[]) => attune("keys", ...args, "--project", project);

    const created = await on("create", "--name", "backend", "--bounds", "humor=0..2", "--expires", "90d");
    expect(created.errors).toContain("shown this once");
    const { id, secret } = secretSchema.parse(created.output);
    expect(created.output).toMatchObject({
      bounds: { toxicity: { locked: 0 }, humor: { min: 0, max: 2 } },
      expires_at: expect.any(Number),
    });
    expect(await listPresets(secret)).toBe(200);
    expect((await on("update", id, "--moderation", "block=2")).output).toMatchObject({
      moderation: { mode: "block", above: 2 },
      bounds: { humor: { max: 2 } },
    });

    expect((await on("update", id, "--scopes", "presets:read", "--requests-per-minute", "5")).output).toMatchObject({
      name: "backend",
      scopes: ["presets:read"],
      requests_per_minute: 5,
      moderation: { mode: "block", above: 2 },
      version: 3,
    });
    const rotated = secretSchema.parse((await on("rotate", id, "--overlap", "1h")).output);
    expect([await listPresets(secret), await listPresets(rotated.secret)]).toEqual([200, 200]);
    expect((await on("show", id)).output).toMatchObject({ id, replaced_works_until: expect.any(Number) });
    expect((await on("revoke", id)).output).toMatchObject({ id, revoked_at: expect.any(Number) });
    expect((await on("list")).output).toMatchObject([{ id, revoked_at: expect.any(Number) }]);

    const { output: log } = await attune("audit", "--project", project);
    expect(log).toMatchObject([
      { action: "key.revoke" },
      { action: "key.rotate" },
      { action: "key.update" },
      { action: "key.update", changes: { moderation: { mode: "block", above: 2 } } },
      { action: "key.create" },
      { action: "project.create" },
    ]);
    expect(JSON.stringify(log)).not.toContain(secret);
    expect((await attune("audit", "--limit", "2")).output).toHaveLength(2);
  });

  it("sets the limits of a project, of its keys, and of their end users, and changes one without touching the others", async () => {
    const made = await attune("projects", "create", "Limited", "--tokens-per-month", "1000000");
    const project = idSchema.parse(made.output).id;
    expect(made.output).toMatchObject({ requests_per_minute: null, tokens_per_month: 1_000_000 });
    const changed = await attune("projects", "update", project, "--requests-per-minute", "600", "--name", "Shop");
    expect(changed.output).toMatchObject({ name: "Shop", requests_per_minute: 600, tokens_per_month: 1_000_000 });
    expect(await attune("projects", "update", project, "--tokens-per-month", "none")).toMatchObject({
      errors: "",
      output: { requests_per_minute: 600, tokens_per_month: null, version: 3 },
    });
    expect((await attune("projects", "show", project)).output).toMatchObject({ id: project, version: 3 });

    const on = (...args: string[]) => attune("keys", ...args, "--project", project);
    const limits = ["--models", "a,b", "--tokens-per-minute", "none", "--concurrent", "2", "--tokens-per-month", "0"];
    const { output } = await on("create", "--name", "page", ...limits, "--end-user-requests-per-minute", "10");
    const { id } = idSchema.parse(output);
    const noLimits = { tokens_per_minute: null, tokens_per_month: null };
    expect(output).toMatchObject({
      ...{ requests_per_minute: 60, tokens_per_minute: null, concurrent_generations: 2, tokens_per_month: 0 },
      end_user_limits: { requests_per_minute: 10, concurrent_generations: null, ...noLimits },
    });
    expect((await on("update", id, "--end-user-concurrent", "1")).output).toMatchObject({
      concurrent_generations: 2,
      end_user_limits: { requests_per_minute: 10, concurrent_generations: 1, ...noLimits },
    });
    expect((await on("update", id, "--models", "all", "--expires", "never")).output).toMatchObject({
      models: null,
      expires_at: null,
    });
    expect(await on("update", id, "--requests-per-minute", "0")).toMatchObject({
      code: 1,
      errors: expect.stringContaining("requests_per_minute"),
    });
  });

  it("makes a publishable key for the pages named", async () => {
    const project = idSchema.parse((await attune("projects", "create", "Page")).output).id;
    const { output } = await attune(
      ...["keys", "create", "--project", project, "--name", "page", "--publishable", "--test"],
      ...["--origins", "https://shop.example"],
    );
    expect(secretSchema.parse(output).secret).toMatch(/^pk_test_/);
  });

  it("administers another server by its address, with a token from the environment", async () => {
    const withToken = (token: string) =>
      run(["--url", edge.current().url, "projects", "list"], { ATTUNE_ADMIN_TOKEN: token });
    expect((await withToken(edge.current().adminToken)).code).toBe(0);
    const refused = await withToken("wrong");
    expect(refused).toMatchObject({ code: 1, output: null, errors: expect.stringContaining("ADMIN_TOKEN") });
    expect(await run(["--url", edge.current().url, "projects", "list"])).toMatchObject({
      code: 1,
      errors: expect.stringMatching(/Set ATTUNE_ADMIN_TOKEN/),
    });
  });

  it.each([
    ["a server that is not there", ["--url", "http://127.0.0.1:1", "audit"], /cannot be reached/],
    ["no server at all", ["--state-directory", edge.directory, "audit"], /No Attune runs.*npm start.*--url/],
    ["an address that is none", ["--url", "shop", "audit"], /shop is no URL/],
    [
      "a level that is none",
      ["keys", "create", "--project", "p", "--name", "n", "--bounds", "humor=9"],
      /levels 0 to 4/,
    ],
    ["a limit that is none", ["projects", "update", "p", "--tokens-per-month", "2e6"], /whole number, or none/],
    ["no project", ["keys", "list"], /--project/],
  ])("with %s says what to do", async (_, args, message) => {
    const { code, errors } = await run(args, { ATTUNE_ADMIN_TOKEN: "a token" });
    expect(code).toBe(1);
    expect(errors).toMatch(message);
  });
});
