import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const path = (relative: string) => fileURLToPath(new URL(`../../${relative}`, import.meta.url));

const imports = (target: string) => `import { b } from "${target}";\n\nb();\n`;

const REFUSED: [folder: string, target: string][] = [
  ["schema", "../edge/b.ts"],
  ["schema/api", "../../gpu-worker/model/b.ts"],
  ["edge", "../gpu-worker/model/b.ts"],
  ["edge/auth", "../../gpu-worker/cli.ts"],
  ["gpu-worker", "../edge/b.ts"],
  ["gpu-worker/server", "../../edge/auth/b.ts"],
  ["gpu-worker/server", "../steerlm/b.ts"],
  ["gpu-worker/engine", "../server/b.ts"],
  ["gpu-worker/engine", "../model/b.ts"],
  ["gpu-worker/engine/deeper", "../../server/b.ts"],
  ["gpu-worker/runtime", "../engine/b.ts"],
  ["gpu-worker/runtime", "../server/b.ts"],
  ["gpu-worker/graph", "../runtime/b.ts"],
  ["gpu-worker/graph", "../model/b.ts"],
  ["gpu-worker/model", "../runtime/b.ts"],
  ["gpu-worker/model", "../server/b.ts"],
  ["gpu-worker/steerlm", "../server/b.ts"],
  ["edge", "../scripts/stack.ts"],
  ["client", "../schema/b.ts"],
  ["gpu-worker/engine", "../../test/fixtures/b.ts"],
];

const ALLOWED: [folder: string, target: string][] = [
  ["edge/auth", "../../schema/wire/b.ts"],
  ["gpu-worker/server", "../engine/b.ts"],
  ["gpu-worker/server", "../model/b.ts"],
  ["gpu-worker/engine", "../runtime/b.ts"],
  ["gpu-worker/runtime", "../graph/b.ts"],
  ["gpu-worker/runtime", "../model/b.ts"],
  ["gpu-worker/steerlm", "../graph/b.ts"],
  ["gpu-worker/steerlm", "../engine/b.ts"],
  ["scripts", "../edge/b.ts"],
  ["test/e2e", "../../scripts/b.ts"],
];

const OTHER_FORMS: [what: string, source: string][] = [
  ["a type", 'import type { B } from "../model/b.ts";\n\nexport type A = B;\n'],
  ["a re-export", 'export * from "../model/b.ts";\n'],
  ["an import at run time", 'export const b = await import("../model/b.ts");\n'],
];

const fileName = (list: string, index: number) => `${list}-${index}.ts`;

describe("the import arrows", () => {
  const project = mkdtempSync(join(tmpdir(), "attune-arrows-"));
  let report = "";

  beforeAll(async () => {
    for (const file of ["biome.json", ".gitignore"]) cpSync(path(file), join(project, file));
    const write = (folder: string, name: string, source: string) => {
      mkdirSync(dirname(join(project, folder, name)), { recursive: true });
      writeFileSync(join(project, folder, name), source);
    };
    for (const [index, [folder, target]] of REFUSED.entries())
      write(folder, fileName("refused", index), imports(target));
    for (const [index, [folder, target]] of ALLOWED.entries())
      write(folder, fileName("allowed", index), imports(target));
    for (const [index, [, source]] of OTHER_FORMS.entries())
      write("gpu-worker/engine", fileName("form", index), source);

    const args = ["lint", "--only=style/noRestrictedImports", "--max-diagnostics=none", "--colors=off", "."];
    report = await new Promise((resolve) => {
      execFile(path("node_modules/.bin/biome"), args, { cwd: project }, (_error, stdout, stderr) =>
        resolve(stdout + stderr),
      );
    });
    expect(report).toContain("Checked");
  });
  afterAll(() => rmSync(project, { recursive: true }));

  it.each(REFUSED.map((pair, index) => [...pair, fileName("refused", index)]))(
    "refuse %s importing %s",
    (_, __, name) => {
      expect(report).toMatch(new RegExp(`${name}:\\d+:\\d+ lint/style/noRestrictedImports`));
    },
  );
  it.each(OTHER_FORMS.map(([what], index) => [what, fileName("form", index)]))("refuse %s just as well", (_, name) => {
    expect(report).toMatch(new RegExp(`${name}:\\d+:\\d+ lint/style/noRestrictedImports`));
  });
  it.each(ALLOWED.map((pair, index) => [...pair, fileName("allowed", index)]))("let %s import %s", (_, __, name) => {
    expect(report).not.toContain(name);
  });
});
