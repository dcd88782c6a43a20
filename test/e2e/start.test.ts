import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { z } from "zod";

const repository = fileURLToPath(new URL("../..", import.meta.url));

/** Not every machine has it; the line is checked for its form there. */
const hasCurl = spawnSync("curl", ["--version"]).status === 0;

const readySchema = z.strictObject({ url: z.url(), key: z.string(), playground: z.url(), pid: z.int() });

describe("npm start", () => {
  const directory = mkdtempSync(join(tmpdir(), "attune-start-"));
  const readyFile = join(directory, "ready.json");
  const stateDirectory = join(directory, "state");
  const children: ChildProcess[] = [];

  afterEach(async () => {
    for (const child of children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)) {
      child.kill("SIGTERM");
      await once(child, "exit");
    }
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  function npmStart(...options: string[]) {
    const args = ["scripts/bootstrap.mjs", "scripts/start.ts", "--state-directory", stateDirectory, ...options];
    const child = spawn(process.execPath, args, { cwd: repository, stdio: ["ignore", "pipe", "pipe"] });
    children.push(child);
    let output = "";
    const collect = (chunk: Buffer) => {
      output += chunk;
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    return { exited: once(child, "exit"), output: () => output };
  }

  async function ready() {
    await expect.poll(() => existsSync(readyFile), { timeout: 90_000, interval: 100 }).toBe(true);
    return readySchema.parse(JSON.parse(readFileSync(readyFile, "utf8")));
  }

  it("prints a curl line that streams, stops cleanly and keeps its key for the next start", async () => {
    const first = npmStart("--port", "0", "--ready-file", readyFile);
    const { url, key, playground, pid } = await ready();
    expect(playground).toBe(`${url}/#key=${key}`);
    await expect.poll(first.output).toContain(playground);

    const curl = /^curl -N (?:.*\\\n)*.*$/m.exec(first.output())?.[0] ?? expect.fail(first.output());
    if (hasCurl) {
      const shell = spawn("sh", ["-c", curl], { stdio: ["ignore", "pipe", "ignore"] });
      let stream = "";
      for await (const chunk of shell.stdout) stream += chunk;
      expect(stream).toContain('"object":"chat.completion.chunk"');
      expect(stream.trimEnd().endsWith("data: [DONE]")).toBe(true);
    }

    const second = npmStart("--port", "0");
    expect(await second.exited).toEqual([1, null]);
    expect(second.output()).toContain(`Attune already runs from this folder at ${url} (process ${pid})`);

    process.kill(pid, "SIGINT");
    expect(await first.exited).toEqual([0, null]);
    expect(existsSync(readyFile)).toBe(false);

    npmStart("--port", "0", "--ready-file", readyFile);
    expect((await ready()).key).toBe(key);
  });

  it("says so and fails when the inference worker is lost", async () => {
    const { exited, output } = npmStart("--port", "0", "--ready-file", readyFile);
    await ready();
    const [firstLine = ""] = readFileSync(join(stateDirectory, "logs", "worker.log"), "utf8").split("\n");
    process.kill(z.object({ pid: z.int() }).parse(JSON.parse(firstLine)).pid, "SIGKILL");
    expect(await exited).toEqual([1, null]);
    expect(output()).toContain("The inference worker ended (signal SIGKILL)");
  });
});
