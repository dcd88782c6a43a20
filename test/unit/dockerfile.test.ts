import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseCopy, parseExec, readDockerfile, repository, stepsOf } from "../fixtures/dockerfile.ts";

describe("the image of the inference worker", () => {
  const stages = readDockerfile(join(repository, "gpu-worker", "Dockerfile"));
  const [dependencies, final] = stages;
  const copies = stages.flatMap((stage) => stepsOf(stage, "COPY")).map(parseCopy);
  const fromContext = copies.filter((copy) => copy.from === null).flatMap((copy) => copy.sources);

  it("leaves the tools of its build behind in a first stage", () => {
    expect(stages).toHaveLength(2);
    expect(stepsOf(dependencies ?? expect.fail(), "RUN").join()).toContain("npm ci --omit=dev");
    expect(stepsOf(final ?? expect.fail(), "RUN").join()).not.toContain("npm");
  });
  it.each(fromContext)("copies %s, which exists and is in the build context", (source) => {
    expect(existsSync(join(repository, source))).toBe(true);
    expect(readFileSync(join(repository, ".dockerignore"), "utf8").split("\n")).toContain(`!${source}`);
  });
  it("copies from stages that exist", () => {
    const names = stages.map((stage) => stage.name);
    for (const { from } of copies.filter((copy) => copy.from !== null)) expect(names).toContain(from);
  });
  it("carries no room but schema and gpu-worker", () => {
    const rooms = stepsOf(final ?? expect.fail(), "COPY")
      .map(parseCopy)
      .flatMap((copy) => copy.sources);
    expect(rooms).toEqual(["/attune/node_modules", "package.json", "schema", "gpu-worker"]);
  });
  it("does not run as root", () => {
    expect(stepsOf(final ?? expect.fail(), "USER")).toEqual(["node"]);
  });
  it("starts a program that it carries", () => {
    const [command] = stepsOf(final ?? expect.fail(), "CMD").map(parseExec);
    expect(command).toEqual(["node", "gpu-worker/cli.ts", "serve"]);
    expect(existsSync(join(repository, "gpu-worker", "cli.ts"))).toBe(true);
  });
  it("asks its own health", () => {
    const [check] = stepsOf(final ?? expect.fail(), "HEALTHCHECK").map(parseExec);
    expect(check?.at(-1)).toContain("/healthz");
  });
});
