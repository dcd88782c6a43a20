import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseCopy, parseExec, readDockerfile, repository, type Stage, stepsOf } from "../fixtures/dockerfile.ts";

const run = promisify(execFile);

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  return typeof address === "object" && address !== null ? address.port : expect.fail("no port");
}

/** The steps of gpu-worker/Dockerfile that need no container engine, in folders instead of layers. */
describe("the image of the inference worker, built without a container engine", () => {
  const root = mkdtempSync(join(tmpdir(), "attune-image-"));
  const stages = readDockerfile(join(repository, "gpu-worker", "Dockerfile"));
  const final = stages.at(-1) ?? expect.fail("the Dockerfile is empty");
  const folderOf = (stage: Stage) => join(root, String(stages.indexOf(stage)));
  const settings = Object.fromEntries(stepsOf(final, "ENV").map((text) => text.split("=")));
  const environment = { ...process.env, ...settings, ATTUNE_WORKER_SECRET: "a secret of the tests" };
  let worker: ChildProcess | undefined;

  beforeAll(async () => {
    for (const stage of stages) {
      mkdirSync(folderOf(stage));
      for (const { instruction, arguments: text } of stage.steps) {
        if (instruction === "COPY") copy(stage, text);
        // The image's other commands prepare users and folders of the image's own.
        if (instruction === "RUN" && text.startsWith("npm ")) {
          const env = { ...process.env, npm_config_prefer_offline: "true" };
          await run("sh", ["-c", text], { cwd: folderOf(stage), env });
        }
      }
    }
  });
  afterAll(async () => {
    worker?.kill("SIGKILL");
    rmSync(root, { recursive: true, force: true });
  });

  function copy(stage: Stage, text: string): void {
    const { from, sources, target } = parseCopy(text);
    const origin = from === null ? undefined : stages.find((stage) => stage.name === from);
    for (const source of sources) {
      const path =
        origin === undefined ? join(repository, source) : join(folderOf(origin), source.replace("/attune/", ""));
      const place = target.endsWith("/") ? join(folderOf(stage), target, source) : join(folderOf(stage), target);
      cpSync(path, place, { recursive: true, verbatimSymlinks: true });
    }
  }

  it("has what the command line needs", async () => {
    const { stdout } = await run(process.execPath, ["gpu-worker/cli.ts", "--help"], { cwd: folderOf(final) });
    expect(stdout).toContain("serve");
  });

  it("serves, and its health check notices", async () => {
    const port = await freePort();
    const env = {
      ...environment,
      ATTUNE_PORT: String(port),
      ATTUNE_CACHE_DIR: undefined,
      ATTUNE_MODEL: process.env.ATTUNE_TEST_GGUF,
    };
    const [, ...command] = stepsOf(final, "CMD").flatMap(parseExec);
    const [, ...check] = stepsOf(final, "HEALTHCHECK").flatMap(parseExec);
    const isHealthy = () =>
      run(process.execPath, check, { env }).then(
        () => true,
        () => false,
      );
    expect(await isHealthy()).toBe(false);

    worker = spawn(process.execPath, command, { cwd: folderOf(final), env, stdio: "ignore" });
    await expect.poll(isHealthy, { timeout: 60_000, interval: 200 }).toBe(true);
  });
});
