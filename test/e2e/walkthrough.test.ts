import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { writeTinyModel } from "../fixtures/tiny-llama.ts";

const repository = fileURLToPath(new URL("../..", import.meta.url));

/** The lines a reader would type, in order. */
const COMMANDS = [...readFileSync(join(repository, "docs/walkthrough.md"), "utf8").matchAll(/^```sh\n(.*?)^```$/gms)]
  .flatMap(([, block = ""]) => block.replace(/\\\n\s*/g, "").split("\n"))
  .filter((line) => line !== "" && !line.startsWith("alias "));

const TRAINING = ["--steps", "2", "--batch-tokens", "600", "--micro-tokens", "600", "--cores", "1"];
const FEW = ["--limit", "2", "--max-tokens", "8", "--cores", "1", "--rows", "4"];
/** What makes a command quick on a tiny model, after what the document says. */
const QUICKLY: Record<string, string[]> = {
  "attune apm train": TRAINING,
  "attune sft": TRAINING,
  "attune annotate": ["--cores", "1"],
  "attune evaluate --adapter": [...FEW, "--strengths", "1"],
  "attune bootstrap": FEW,
};

const LABELS = { quality: 0.75, toxicity: 0, humor: 0.25, creativity: 0.5, helpfulness: 0.75 };

/** A tree of OASST's: a question with two answers. */
function tree(index: number) {
  const message = (name: string, role: string, text: string, more: object) => ({
    ...{ message_id: `${index}-${name}`, role, text, lang: "en", deleted: false, ...more },
  });
  const answer = (rank: number) => {
    const labels = Object.fromEntries(Object.entries(LABELS).map(([name, value]) => [name, { value, count: 3 }]));
    return message(`a${rank}`, "assistant", `It is ${"so and so ".repeat(1 + ((index * 5 + rank) % 9))}.`, {
      rank,
      labels,
    });
  };
  const replies = [answer(0), answer(1)];
  return { message_tree_id: String(index), prompt: message("q", "prompter", `What is ${index}?`, { replies }) };
}

const readySchema = z.object({ url: z.url(), key: z.string(), pid: z.int() });
const answerSchema = z.object({ steer: z.object({ method: z.string() }) });

describe("the walk-through", () => {
  const directory = mkdtempSync(join(tmpdir(), "attune-walkthrough-"));
  let model: Awaited<ReturnType<typeof writeTinyModel>>;
  let running: ChildProcess | undefined;

  beforeAll(async () => {
    model = await writeTinyModel();
    const trees = Array.from({ length: 80 }, (_, index) => `${JSON.stringify(tree(index))}\n`).join("");
    writeFileSync(join(directory, "2023-04-12_oasst_all.trees.jsonl.gz"), gzipSync(trees));
  });
  afterAll(async () => {
    if (running?.exitCode === null && running.kill("SIGINT")) await once(running, "exit");
    await model.remove();
    rmSync(directory, { recursive: true });
  });

  const environment = () => ({ ATTUNE_MODEL: model.path, ATTUNE_CACHE_DIR: model.directory, INIT_CWD: directory });

  function start(command: string, args: string[]): ChildProcess & { said: () => string } {
    const env = { ...process.env, ...environment() };
    const child = spawn(command, args, { cwd: directory, env, stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (said += chunk));
    return Object.assign(child, { said: () => said });
  }

  /** The argument list of a command of `attune`, with its numbers made small. */
  function small(command: string): string[] {
    const [, ...args] = command.replace(/ --tokens \d+/, "").split(/\s+/);
    const more = Object.entries(QUICKLY).flatMap(([name, options]) => (command.startsWith(name) ? options : []));
    return [...args, ...more];
  }

  async function serve(command: string): Promise<void> {
    const readyFile = join(directory, "ready.json");
    const [, , , ...args] = command.split(/\s+/);
    const quickly = ["--port", "0", "--ready-file", readyFile, "--state-directory", join(directory, "state")];
    const child = start(process.execPath, [join(repository, "scripts/start.ts"), ...args, ...quickly]);
    running = child;
    await expect
      .poll(() => existsSync(readyFile) || child.exitCode !== null, { timeout: 90_000, interval: 100 })
      .toBe(true);
    if (!existsSync(readyFile)) expect.fail(child.said());
    const { url, key } = readySchema.parse(JSON.parse(readFileSync(readyFile, "utf8")));
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const { data } = z
      .object({ data: z.array(z.object({ id: z.string() })).min(1) })
      .parse(await (await fetch(`${url}/v1/models`, { headers })).json());
    const question = { model: data[0]?.id, max_tokens: 4, messages: [{ role: "user", content: "What is 1?" }] };
    const body = JSON.stringify({ ...question, steer: { attributes: { verbosity: 1 } } });
    const response = await fetch(`${url}/v1/chat/completions`, { method: "POST", headers, body });
    expect(answerSchema.parse(await response.json()).steer.method).toBe("label_line");
    child.kill("SIGINT");
    await once(child, "exit");
    running = undefined;
  }

  it("has five commands from data to a served adapter, then a few more", () => {
    const names = COMMANDS.map((command) => command.split(" --")[0]?.split(" ").slice(0, 3).join(" "));
    expect(names.slice(0, 5).map((name) => name?.replace(/ \S*runs\S*| \S*\.gz/, ""))).toEqual([
      "attune data split",
      "attune apm train",
      "attune annotate",
      "attune sft",
      "npm start",
    ]);
  });

  for (const command of COMMANDS) {
    it(`works: ${command}`, async () => {
      if (command.startsWith("npm start -- ")) return serve(command);
      expect(command).toMatch(/^attune /);
      const child = start(process.execPath, [join(repository, "gpu-worker/cli.ts"), ...small(command)]);
      const [code] = await once(child, "close");
      expect(code, child.said()).toBe(0);
    });
  }
});
