import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";

const repository = fileURLToPath(new URL("../../..", import.meta.url));

describe("the bootstrap", () => {
  const directory = mkdtempSync(join(tmpdir(), "attune-bootstrap-"));
  afterAll(() => rmSync(directory, { recursive: true }));

  /** Starts a script the way the npm scripts do and waits for its first output. */
  async function launch(name: string, source: string) {
    const file = join(directory, name);
    writeFileSync(file, source);
    const args = ["scripts/bootstrap.mjs", relative(repository, file), "an argument"];
    const child = spawn(process.execPath, args, { cwd: repository, stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.on("data", (chunk) => {
      output += chunk;
    });
    const closed = once(child, "close");
    await once(child.stdout, "data");
    return { child, closed, output: () => output };
  }

  it("runs TypeScript on the project's Node and passes arguments and the exit code on", async () => {
    const source =
      "const text: string = process.argv[2] ?? ''; console.log(process.versions.node, text); process.exit(7);";
    const { closed, output } = await launch("exit.ts", source);
    expect(await closed).toEqual([7, null]);
    expect(output()).toMatch(/^24\..* an argument\n$/);
  });

  it("passes a signal on once, however often it arrives at the same moment", async () => {
    const source = `
      let count = 0;
      process.on("SIGINT", () => { if (count++ === 0) setTimeout(() => { console.log("signals", count); process.exit(0); }, 200); });
      setInterval(() => {}, 1000);
      console.log("up");`;
    const { child, closed, output } = await launch("signal.ts", source);
    child.kill("SIGINT");
    await new Promise((resolve) => setImmediate(resolve));
    child.kill("SIGINT");
    expect(await closed).toEqual([0, null]);
    expect(output()).toBe("up\nsignals 1\n");
  });

  it.skipIf(process.platform === "win32")("ends the script when the shell that npm runs it in is gone", async () => {
    const file = join(directory, "lonely.ts");
    writeFileSync(file, "console.log(process.pid); setInterval(() => {}, 1000);");
    const command = `"${process.execPath}" scripts/bootstrap.mjs "${relative(repository, file)}"; true`;
    const env = { ...process.env, npm_lifecycle_event: "start" };
    const shell = spawn("sh", ["-c", command], { cwd: repository, env, stdio: ["ignore", "pipe", "inherit"] });
    const [pid] = await once(shell.stdout, "data");
    shell.kill("SIGTERM");
    await expect.poll(() => isRunning(Number(pid)), { timeout: 4000 }).toBe(false);
  });

  it.skipIf(process.platform === "win32")("leaves nothing running when the script is killed", async () => {
    const source = `
      import { spawn } from "node:child_process";
      const orphan = spawn("sleep", ["600"], { stdio: "ignore" });
      console.log(orphan.pid);
      setTimeout(() => process.kill(process.pid, "SIGKILL"), 50);`;
    const { closed, output } = await launch("killed.ts", source);
    expect(await closed).toEqual([null, "SIGKILL"]);
    const orphan = Number(output());
    expect(orphan).toBeGreaterThan(0);
    await expect.poll(() => isRunning(orphan)).toBe(false);
  });
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A zombie has ended; nobody has asked how yet.
    return process.platform !== "linux" || !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
