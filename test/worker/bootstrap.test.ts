import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, appendFile, cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { measuredLevels, SMALL_MODEL_SCALE } from "../../gpu-worker/model/measured-levels.ts";
import { bootstrapCommand } from "../../gpu-worker/steerlm/bootstrap/bootstrap-command.ts";
import { type Conversation, conversationSchema } from "../../gpu-worker/steerlm/datasets/conversation.ts";
import { sftCommand } from "../../gpu-worker/steerlm/sft/sft-command.ts";
import type { MeasuredScale, SteeringProfile } from "../../schema/attributes.ts";
import { type TerminalRun, terminalRun } from "../fixtures/terminal-run.ts";
import { writeTinyAdapter } from "../fixtures/tiny-adapter.ts";
import { writeTinyApm } from "../fixtures/tiny-apm.ts";
import { writeTinyModel } from "../fixtures/tiny-llama.ts";

const CLI = fileURLToPath(new URL("../../gpu-worker/cli.ts", import.meta.url));
/** A busy machine takes its time to start a process. */
const TIMEOUT = 120_000;

const SCALE: MeasuredScale = { verbosity: [1, 2, 3, 4], complexity: [1, 2, 3, 4] };
const PROFILE: SteeringProfile = {
  template: "chatml",
  measured: SCALE,
  attributes: [
    { name: "quality", default: 4 },
    { name: "verbosity", default: 2 },
  ],
};

/** Questions with answers that somebody judged. */
const ROWS = [
  { prompt: "Why?", response: "So.", quality: 4, verbosity: 0 },
  { prompt: "Who are you?", response: "I.", quality: 4, verbosity: 3 },
  { prompt: "What is it?", response: "It.", quality: 2, verbosity: 3 },
  { prompt: "what is it", response: "It again.", quality: 2, verbosity: 3 },
];

let model: Awaited<ReturnType<typeof writeTinyModel>>;
let adapter: string;
let apm: string;
let directory: string;
const at = (name: string) => join(directory, name);

beforeAll(async () => {
  model = await writeTinyModel();
  vi.stubEnv("ATTUNE_CACHE_DIR", model.directory);
  adapter = await writeTinyAdapter(join(model.directory, "adapter"), { profile: PROFILE });
  apm = await writeTinyApm(join(model.directory, "apm"), model.path, ["quality"]);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await model.remove();
});
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "attune-bootstrap-"));
  await writeFile(at("rows.jsonl"), ROWS.map((row) => `${JSON.stringify(row)}\n`).join(""));
});
afterEach(() => rm(directory, { recursive: true }));

const argumentsFor = (...more: string[]) => [
  ...[at("rows.jsonl"), "--model", model.path, "--adapter", adapter, "--apm", apm, "--cores", "1", "--rows", "4"],
  ...["--max-tokens", "8", "--temperature", "1", "--out", at("out.jsonl"), ...more],
];

/** `attune bootstrap …`, as a terminal shows it. */
const bootstrap = (...args: string[]): Promise<TerminalRun> => terminalRun(bootstrapCommand(), args);

async function rowsOf(name: string): Promise<Conversation[]> {
  const bytes = await readFile(at(name));
  const text = (name.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString();
  return text.split("\n").flatMap((line) => (line === "" ? [] : [conversationSchema.parse(JSON.parse(line))]));
}

const exists = (name: string) =>
  access(at(name)).then(
    () => true,
    () => false,
  );

describe("attune bootstrap", { timeout: TIMEOUT }, () => {
  it("writes replies to each question, labelled by what they are, beside what was asked for", async () => {
    const run = await bootstrap(...argumentsFor("--replies", "3", "--out", at("out.jsonl.gz")));
    expect(run, run.stderr).toMatchObject({ code: 0 });
    expect(run.stderr).toContain("Asking 3 questions for 3 combinations of levels.");
    expect(run.stderr).toContain("9 of 9 replies generated");
    const rows = await rowsOf("out.jsonl.gz");
    expect(rows.length).toBeGreaterThan(6);
    expect(new Set(rows.map(({ turns }) => turns[0]?.text))).toEqual(new Set(["Why?", "Who are you?", "What is it?"]));
    const seen = ROWS.map(({ quality, verbosity }) => ({ quality, verbosity }));
    for (const { turns } of rows) {
      const [, reply] = turns;
      expect(seen).toContainEqual(reply?.requested);
      expect(reply?.labels).toEqual(reply?.predicted);
      expect(reply?.labels?.quality).toBeGreaterThan(0);
      // Measured by what the adapter learnt levels to be.
      expect(reply?.labels).toMatchObject(measuredLevels(reply?.text ?? "", SCALE));
    }
    // Replies to one question are asked for the same.
    const asked = Map.groupBy(rows, ({ turns }) => turns[0]?.text);
    for (const replies of asked.values()) {
      expect(new Set(replies.map(({ turns }) => JSON.stringify(turns[1]?.requested))).size).toBe(1);
      expect(new Set(replies.map(({ turns }) => turns[1]?.text.trim())).size).toBe(replies.length);
    }
    expect(run.stdout).toMatch(/^asked for +replies +became +as asked +within 1\nquality [24] +\d+ /);
    expect((await readdir(directory)).sort()).toEqual(["out.jsonl.gz", "rows.jsonl"]);
  });

  it("gives a second round of training what it needs: replies that were cut do not teach to end there", async () => {
    await bootstrap(...argumentsFor("--replies", "4", "--max-tokens", "3"));
    const cut = (await rowsOf("out.jsonl")).filter(({ turns }) => turns[1]?.cut);
    expect(cut.length).toBeGreaterThan(0);
    await terminalRun(sftCommand(), [
      ...[at("out.jsonl"), "--model", model.path, "--start", adapter, "--rank", "5", "--steps", "1", "--cores", "1"],
      ...["--batch-tokens", "300", "--micro-tokens", "300", "--out", at("second")],
    ]);
    expect(await exists("second/adapter/adapter_model.safetensors")).toBe(true);
  });

  it("takes combinations from other files, and only those that have what is required", async () => {
    await writeFile(at("bare.jsonl"), `${JSON.stringify({ prompt: "Where?", response: "There." })}\n`);
    const args = argumentsFor("--from", at("rows.jsonl"), "--require", "quality=2").with(0, at("bare.jsonl"));
    expect(await bootstrap(...args)).toMatchObject({ code: 0 });
    const rows = await rowsOf("out.jsonl");
    expect(rows.every(({ turns }) => turns[0]?.text === "Where?")).toBe(true);
    expect(rows.every(({ turns }) => turns[1]?.requested?.quality === 2)).toBe(true);
  });

  it("asks one question for every level of what is swept, held to it by strength, and measures without a model", async () => {
    const apmAt = argumentsFor().indexOf("--apm");
    const args = argumentsFor("--replies", "1", "--limit", "2").toSpliced(apmAt, 2);
    const run = await bootstrap(...args, "--sweep", "verbosity", "--strength", "3", "--away", "verbosity");
    expect(run, run.stderr).toMatchObject({ code: 0, stderr: expect.stringContaining("10 of 10 replies generated") });
    const rows = await rowsOf("out.jsonl");
    for (const { turns } of rows) {
      expect(turns[1]?.labels).toEqual(measuredLevels(turns[1]?.text ?? "", SCALE));
    }
    const asked = Map.groupBy(rows, ({ turns }) => turns[0]?.text);
    for (const replies of asked.values()) {
      const levels = replies.map(({ turns }) => turns[1]?.requested?.verbosity);
      expect(levels).toEqual([...new Set(levels)].sort());
      expect(new Set(replies.map(({ turns }) => turns[1]?.requested?.quality)).size).toBe(1);
    }
    await bootstrap(...args, "--sweep", "verbosity");
    expect(await rowsOf("out.jsonl")).not.toEqual(rows);
  });

  it("lets the plain model answer, told in words, and never what the words are not about", async () => {
    const adapterAt = argumentsFor().indexOf("--adapter");
    const args = argumentsFor("--replies", "1", "--strength", "2", "--away", "complexity").toSpliced(adapterAt, 4);
    const asked = ["--measure", "all", "--words", "complexity,verbosity", "--sweep", "complexity"];
    const run = await bootstrap(...args, ...asked);
    expect(run, run.stderr).toMatchObject({ code: 0, stderr: expect.stringContaining("15 of 15 replies generated") });
    const rows = await rowsOf("out.jsonl");
    for (const { turns } of rows) {
      expect(Object.keys(turns[1]?.requested ?? {}).sort()).toEqual(["complexity", "verbosity"]);
      expect(turns[1]?.labels).toEqual(measuredLevels(turns[1]?.text ?? "", SMALL_MODEL_SCALE));
    }
    const firsts = Map.groupBy(rows, ({ turns }) => turns[0]?.text);
    for (const replies of firsts.values())
      expect(new Set(replies.map(({ turns }) => turns[1]?.text)).size).toBeGreaterThan(1);
  });

  it("never asks what is held out", async () => {
    await writeFile(at("held.jsonl"), `${JSON.stringify({ question_id: 1, turns: ["WHY", "And then?"] })}\n`);
    expect(await bootstrap(...argumentsFor("--hold-out", at("held.jsonl")))).toMatchObject({
      code: 0,
      stderr: expect.stringContaining("left out: 1 held out"),
    });
    expect((await rowsOf("out.jsonl")).map(({ turns }) => turns[0]?.text)).not.toContain("Why?");
  });

  it("asks for part of what it would ask for under a higher limit, in the same way", async () => {
    await bootstrap(...argumentsFor("--replies", "2", "--limit", "2"));
    const few = await rowsOf("out.jsonl");
    await bootstrap(...argumentsFor("--replies", "2"));
    expect(await rowsOf("out.jsonl")).toEqual(expect.arrayContaining(few));
    await bootstrap(...argumentsFor("--replies", "2", "--seed", "1"));
    expect(await rowsOf("out.jsonl")).not.toEqual(expect.arrayContaining(few));
  });

  it("ends at Ctrl-C with what was finished, and goes on to the same file", async () => {
    const args = argumentsFor("--replies", "200");
    const child = spawn(process.execPath, [CLI, "bootstrap", ...args], { stdio: ["ignore", "ignore", "pipe"] });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text) => {
      stderr += text;
    });
    const ended = once(child, "close");
    const replies = async () => await readFile(at("out.jsonl.partial/replies.jsonl"), "utf8").catch(() => "");
    while (!(await replies()).includes("\n")) {
      if (child.exitCode !== null) throw new Error(stderr);
      await setTimeout(2);
    }
    const second = await bootstrap(...args);
    expect(second.stderr).toContain("Another process works in");
    child.kill("SIGINT");
    expect((await ended)[0]).toBe(1);
    expect(stderr).toContain("Interrupted. Go on with the same command.");
    expect(await exists("out.jsonl")).toBe(false);

    const otherwise = await bootstrap(...args, "--temperature", "0.5");
    expect(otherwise.stderr).toContain("--temperature: 1 when it was begun, 0.5 now");
    // The machine failed while it wrote a reply.
    await appendFile(at("out.jsonl.partial/replies.jsonl"), '{"prompt":"');
    const resumed = await bootstrap(...args);
    expect(resumed).toMatchObject({ code: 0 });
    expect(resumed.stderr).toMatch(/^[1-9]\d* of 600 replies generated$/m);
    const broken = await readFile(at("out.jsonl"));
    await bootstrap(...argumentsFor("--replies", "200", "--out", at("whole.jsonl")));
    expect((await readFile(at("whole.jsonl"))).equals(broken)).toBe(true);
  });

  it("says what to change before anything is generated", async () => {
    await writeFile(at("bare.jsonl"), `${JSON.stringify({ prompt: "Where?", response: "There." })}\n`);
    const other = join(model.directory, "other.gguf");
    await cp(model.path, other);
    await appendFile(other, Buffer.alloc(32));
    const bare = await writeTinyAdapter(at("bare"));
    const cases: [string[], string][] = [
      [argumentsFor().with(0, at("bare.jsonl")), "Name annotated files by --from."],
      [argumentsFor("--require", "quality=0"), "no answer with quality 0 has labels"],
      [argumentsFor("--max-prompt", "5"), "no question to ask. Name other files, or raise --max-prompt."],
      [argumentsFor("--model", other), "was trained on other weights"],
      [argumentsFor("--adapter", bare), "has no profile.json"],
      [argumentsFor("--sweep", "humor"), "cannot be asked for humor: it knows quality, verbosity."],
      [argumentsFor("--words", "humor"), "cannot be used with option '--words <attributes>'"],
      [argumentsFor().toSpliced(argumentsFor().indexOf("--adapter"), 2), "Say who answers: an adapter by --adapter"],
      [argumentsFor("--strength", "1,2"), "Must be one number from 1 to 5."],
    ];
    for (const [args, text] of cases) {
      expect(await bootstrap(...args)).toMatchObject({ code: 1, stderr: expect.stringContaining(text) });
    }
    expect((await readdir(directory)).filter((name) => name.startsWith("out"))).toEqual([]);
  });
});
