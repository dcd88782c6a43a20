import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, it } from "vitest";
import { tool } from "../../../scripts/check/check.ts";
import { buildClientPackage } from "../../../scripts/client/package.ts";

const run = promisify(execFile);
const directory = mkdtempSync(join(tmpdir(), "attune-client-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

it("the client's package is imported from its tarball, with its types and without dependencies", {
  timeout: 120_000,
}, async () => {
  const built = join(directory, "built");
  await buildClientPackage(built);
  const npm = { cwd: directory, shell: process.platform === "win32" };
  const { stdout: packed } = await run("npm", ["pack", built], npm);
  const project = join(directory, "project");
  mkdirSync(project);
  writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module", private: true }));
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", join(directory, packed.trim())], {
    ...npm,
    cwd: project,
  });
  expect(existsSync(join(project, "node_modules", "attune", "client", "attune.js"))).toBe(true);

  writeFileSync(
    join(project, "use.mjs"),
    'import { Attune, AttuneError } from "attune/client"; console.log(typeof new Attune({ apiKey: "k" }).chat.stream, AttuneError.name);',
  );
  expect((await run(process.execPath, ["use.mjs"], { cwd: project })).stdout).toBe("function AttuneError\n");

  writeFileSync(
    join(project, "use.ts"),
    `import { Attune, type Schemas } from "attune/client";
const steer: Schemas["Steer"] = { attributes: { humor: 2 } };
const answer = await new Attune({ apiKey: "k" }).chat.create({ model: "m", messages: [{ role: "user", content: "Hi" }], steer });
export const level: Schemas["Level"] | undefined = answer.steer?.effective.humor;
// @ts-expect-error no such level
export const wrong: Schemas["Level"] = 5;
`,
  );
  for (const module of ["nodenext", "esnext"]) {
    const resolution = module === "esnext" ? ["--moduleResolution", "bundler"] : [];
    const options = ["--noEmit", "--strict", "--target", "es2022", "--lib", "es2022,dom,dom.iterable", "--types", ""];
    const { ok, output } = await tool("tsc", ["--module", module, ...resolution, ...options, join(project, "use.ts")]);
    expect(output).toBe("");
    expect(ok).toBe(true);
  }
});
