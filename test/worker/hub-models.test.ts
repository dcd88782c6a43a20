import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ensureDecoder } from "../../gpu-worker/runtime/decoder-files.ts";
import { type FakeHub, filesOf, startFakeHub } from "../fixtures/fake-hub.ts";
import { publishedModel } from "../fixtures/published-models.ts";
import { writeTinyAdapter } from "../fixtures/tiny-adapter.ts";
import { writeTinyModel } from "../fixtures/tiny-llama.ts";

const CLI = fileURLToPath(new URL("../../gpu-worker/cli.ts", import.meta.url));

let fake: FakeHub;
let cache: string;
let tiny: Awaited<ReturnType<typeof writeTinyModel>>;
let adapter: string;

beforeAll(async () => {
  fake = await startFakeHub();
  cache = await mkdtemp(join(tmpdir(), "attune-hub-models-"));
  tiny = await writeTinyModel();
  adapter = await writeTinyAdapter(join(tiny.directory, "adapter"));
  fake.push("tiny/gguf", { "tiny.gguf": await readFile(tiny.path), "other.gguf": Buffer.from("another one") });
  fake.push("tiny/sharded", await filesOf(publishedModel("llama3").directory));
  fake.push("tiny/lora", await filesOf(adapter));
});
beforeEach(() => {
  fake.interfere = () => false;
  fake.asked.length = 0;
});
afterAll(async () => {
  await fake.close();
  await rm(cache, { recursive: true });
  await tiny.remove();
});

type Ended = { code: number | null; stdout: string; stderr: string };

/** Runs the worker's command line against the fake hub. */
function attune(args: string[], endpoint = fake.url): { child: ChildProcess; ended: Promise<Ended> } {
  const env = { ...process.env, HF_ENDPOINT: endpoint, HF_TOKEN: "hf_secret", ATTUNE_CACHE_DIR: cache };
  const child = spawn(process.execPath, [CLI, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const ended = new Promise<Ended>((resolve) => child.on("close", (code) => resolve({ code, stdout, stderr })));
  return { child, ended };
}

async function built(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await attune(["build", ...args]).ended;
  if (code !== 0) throw new Error(stderr);
  return stdout.trim();
}

describe("a model from the hub", () => {
  it("is built like the same GGUF file on the disk, and again when the hub is gone", async () => {
    const model = ["--model", "hf:tiny/gguf:tiny.gguf"];
    expect(await built(...model)).toBe(await ensureDecoder(tiny.path, { cache }));
    expect(fake.asked.map(({ authorization }) => authorization)).toEqual([
      "Bearer hf_secret",
      "Bearer hf_secret",
      undefined,
    ]);

    const offline = await attune(["build", ...model], "http://127.0.0.1:1").ended;
    expect(offline.code).toBe(0);
    expect(offline.stderr).toContain("hf:tiny/gguf:tiny.gguf is taken from the cache");
  });

  it("is built like the same sharded safetensors on the disk", async () => {
    const local = await ensureDecoder(publishedModel("llama3").directory, { cache });
    expect(await built("--model", "hf:tiny/sharded")).toBe(local);
  });

  it("takes an adapter from the hub too", async () => {
    const local = await ensureDecoder(tiny.path, { adapter, cache });
    expect(await built("--model", "hf:tiny/gguf:tiny.gguf", "--adapter", "hf:tiny/lora")).toBe(local);
  });
});

describe("the command line", () => {
  it("says what to write where the choice is the user's", async () => {
    const { code, stderr } = await attune(["pull", "--model", "hf:tiny/gguf"]).ended;
    expect(code).toBe(1);
    expect(stderr).toContain("hf:tiny/gguf has 2 GGUF files. Name one, such as hf:tiny/gguf:tiny.gguf");
  });

  it("keeps what came when Ctrl-C ends a download", async () => {
    const bytes = await readFile(tiny.path);
    const commit = fake.push("tiny/slow", { "slow.gguf": bytes });
    const { child, ended } = attune(["pull", "--model", "hf:tiny/slow"]);
    fake.interfere = ({ server }, response) => {
      if (server === "hub") return false;
      response.writeHead(200, { "content-length": bytes.length }).write(bytes.subarray(0, bytes.length / 2));
      return true;
    };
    // It says so once half has arrived.
    await new Promise((resolve) => child.stderr?.once("data", resolve));
    child.kill("SIGINT");
    const { code, stderr } = await ended;
    expect(code).toBe(1);
    expect(stderr).toContain("Interrupted. What was fetched is kept");
    expect(await readdir(join(cache, "hub", "tiny", "slow", commit))).toEqual(["slow.gguf.part"]);

    fake.interfere = () => false;
    const again = await attune(["pull", "--model", "hf:tiny/slow"]).ended;
    expect(await readFile(again.stdout.trim())).toEqual(bytes);
    expect(fake.asked.at(-1)?.range).toMatch(/^bytes=\d+-$/);
  });
});
