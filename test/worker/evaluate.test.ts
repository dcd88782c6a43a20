import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { access, cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { openAdapter } from "../../gpu-worker/model/adapter.ts";
import { type AttributeModelDescription, HEAD_TENSORS } from "../../gpu-worker/model/attribute-model.ts";
import { DEFAULT_ATTRIBUTE_TEXT } from "../../gpu-worker/model/attribute-text.ts";
import { renderPrompt } from "../../gpu-worker/model/chat-template.ts";
import { openCheckpoint } from "../../gpu-worker/model/checkpoint.ts";
import { evaluateCommand } from "../../gpu-worker/steerlm/evaluate/command.ts";
import { PerplexityScorer } from "../../gpu-worker/steerlm/evaluate/perplexity-scorer.ts";
import { reportSchema } from "../../gpu-worker/steerlm/evaluate/report-schema.ts";
import { scoreSchema } from "../../gpu-worker/steerlm/evaluate/scores.ts";
import { type SteeredAnswer, steeredAnswerSchema } from "../../gpu-worker/steerlm/evaluate/steered-answer.ts";
import type { SteeringProfile } from "../../schema/attributes.ts";
import { calibrationSchema } from "../../schema/calibration.ts";
import { referenceLogits } from "../fixtures/reference-llama.ts";
import { type TerminalRun, terminalRun } from "../fixtures/terminal-run.ts";
import { tinyUpdates, writeTinyAdapter } from "../fixtures/tiny-adapter.ts";
import { TINY_CONFIG, tinyWeights, writeTinyModel } from "../fixtures/tiny-llama.ts";
import { float32Tensor, safetensorsBytes } from "../fixtures/tiny-safetensors.ts";

const CLI = fileURLToPath(new URL("../../gpu-worker/cli.ts", import.meta.url));
/** A busy machine takes its time to start a process. */
const TIMEOUT = 120_000;

const PROFILE: SteeringProfile = {
  template: "chatml",
  measured: { verbosity: [2, 4, 6, 8], complexity: [6, 9, 11.5, 14] },
  attributes: [
    { name: "quality", default: 4 },
    { name: "verbosity", default: 2 },
  ],
};

let model: Awaited<ReturnType<typeof writeTinyModel>>;
let adapter: string;
let directory: string;
const at = (name: string) => join(directory, name);

beforeAll(async () => {
  model = await writeTinyModel();
  vi.stubEnv("ATTUNE_CACHE_DIR", model.directory);
  adapter = await writeTinyAdapter(join(model.directory, "adapter"), { profile: PROFILE });
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await model.remove();
});
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "attune-evaluate-"));
  const questions = ["Why?", "Who are you?", "What is it?"].map((turn, question_id) => ({
    question_id,
    turns: [turn],
  }));
  await writeFile(at("questions.jsonl"), questions.map((question) => `${JSON.stringify(question)}\n`).join(""));
});
afterEach(() => rm(directory, { recursive: true }));

const argumentsFor = (...more: string[]) => [
  ...["--model", model.path, "--prompts", at("questions.jsonl"), "--attributes", "verbosity", "--max-tokens", "8"],
  ...["--temperature", "1", "--cores", "1", "--rows", "4", "--out", at("run"), ...more],
];

/** `attune evaluate …`, as a terminal shows it. */
const evaluate = (...args: string[]): Promise<TerminalRun> => terminalRun(evaluateCommand(), args);

async function rowsOf(name: string): Promise<unknown[]> {
  const text = await readFile(at(name), "utf8");
  return text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line)]));
}

const answersIn = async (run: string): Promise<SteeredAnswer[]> =>
  (await rowsOf(`${run}/answers.jsonl`)).map((row) => steeredAnswerSchema.parse(row));

const sorted = (answers: SteeredAnswer[]) => answers.map((answer) => JSON.stringify(answer)).sort();

describe("attune evaluate", { timeout: TIMEOUT }, () => {
  it("answers at every level by every system, scores the answers and reports", async () => {
    const control = await writeTinyAdapter(at("control"), { profile: PROFILE, updates: tinyUpdates(12) });
    const run = await evaluate(
      ...argumentsFor(
        "--adapter",
        adapter,
        "--control",
        control,
        "--strengths",
        "1,2",
        "--combine",
        "quality=0,verbosity=4",
      ),
    );
    expect(run).toMatchObject({ code: 0, stdout: `${at("run/report.md")}\n` });
    const answers = await answersIn("run");
    const count = (system: string) => answers.filter((answer) => answer.system === system).length;
    // Five levels of three prompts at two strengths, and a combination of each prompt.
    expect({
      adapter: count("adapter"),
      base: count("base"),
      words: count("words"),
      control: count("control"),
    }).toEqual({
      adapter: 33,
      base: 3,
      words: 15,
      control: 15,
    });
    const report = reportSchema.parse(JSON.parse(await readFile(at("run/report.json"), "utf8")));
    expect(report).toMatchObject({ answers: 66, asked: 66, prompts: 3 });
    expect(report.sweeps.map(({ system, strength }) => `${system} ${strength}`)).toEqual([
      "adapter 1",
      "adapter 2",
      "words 1",
      "control 1",
    ]);
    expect(report.base.log_perplexity?.n).toBe(3);
    expect((await readdir(at("run"))).sort()).toEqual(
      expect.arrayContaining(["answers.jsonl", "evaluation.json", "leakage.svg", "scores.jsonl", "verbosity.svg"]),
    );
  });

  it("steers: label lines and strength change what is said", async () => {
    await evaluate(
      ...argumentsFor("--adapter", adapter, "--strengths", "1,3", "--baseline", "none", "--no-perplexity"),
    );
    const answers = (await answersIn("run")).filter(({ system }) => system === "adapter");
    const textsAt = (strength: number) =>
      new Set(answers.filter((one) => one.strength === strength).map(({ text }) => text));
    expect(textsAt(1).size).toBeGreaterThan(10);
    expect([...textsAt(3)].filter((text) => textsAt(1).has(text)).length).toBeLessThan(5);
  });

  it("gives the same answers after an interruption, and asks nothing twice", async () => {
    const args = argumentsFor("--adapter", adapter, "--strengths", "1", "--baseline", "none");
    await evaluate(...args);
    const whole = await answersIn("run");
    const lines = (await readFile(at("run/answers.jsonl"), "utf8")).split("\n");
    // The process died while it wrote the sixth answer, and had scored three.
    await writeFile(at("run/answers.jsonl"), `${lines.slice(0, 5).join("\n")}\n${lines[5]?.slice(0, 30)}`);
    const scores = (await readFile(at("run/scores.jsonl"), "utf8")).split("\n");
    await writeFile(at("run/scores.jsonl"), `${scores.slice(0, 3).join("\n")}\n`);
    const resumed = await evaluate(...args);
    expect(resumed.stderr).toContain("5 of 18 answers");
    expect(sorted(await answersIn("run"))).toEqual(sorted(whole));
    expect(await rowsOf("run/scores.jsonl")).toHaveLength(18);
    const before = await readFile(at("run/answers.jsonl"), "utf8");
    await evaluate(...args);
    expect(await readFile(at("run/answers.jsonl"), "utf8")).toBe(before);
  });

  it("asks only what is new where more is asked for", async () => {
    const args = argumentsFor("--adapter", adapter, "--baseline", "none", "--no-perplexity");
    await evaluate(...args, "--strengths", "1", "--limit", "2");
    const before = await answersIn("run");
    const control = await writeTinyAdapter(at("control"), { profile: PROFILE, updates: tinyUpdates(12) });
    await evaluate(...args, "--strengths", "1,2", "--limit", "3", "--control", control);
    const after = await answersIn("run");
    expect(after.slice(0, before.length)).toEqual(before);
    expect(after).toHaveLength(33 + 15);
    expect((await evaluate(...args, "--strengths", "1")).stderr).toMatch(/control \(\w+ there, none now\)/);
  });

  it("refuses to mix answers that were given otherwise", async () => {
    const args = argumentsFor("--adapter", adapter, "--strengths", "1", "--baseline", "none", "--no-perplexity");
    await evaluate(...args);
    expect(await evaluate(...args, "--temperature", "0.5")).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/temperature \(1 there, 0\.5 now\)\. Ask as before, or name another directory/),
    });
    const other = await writeTinyAdapter(at("other"), { profile: PROFILE, updates: tinyUpdates(13) });
    const refused = await evaluate(...args, "--adapter", other);
    expect(refused.stderr).toContain("adapter (");
  });

  it("says what to change where an adapter has no profile, or was not trained on what is asked for", async () => {
    const bare = await writeTinyAdapter(at("bare"));
    expect((await evaluate(...argumentsFor("--adapter", bare))).stderr).toContain("has no profile.json");
    const untrained = await evaluate(...argumentsFor("--adapter", adapter, "--attributes", "humor"));
    expect(untrained.stderr).toContain("was not trained on humor: leave it out of --attributes");
    expect(await readdir(directory)).not.toContain("run");
  });

  it("ends at Ctrl-C with what was finished, and goes on", async () => {
    const args = argumentsFor("--adapter", adapter, "--strengths", "1", "--baseline", "none", "--samples", "40");
    const child = spawn(process.execPath, [CLI, "evaluate", ...args], { stdio: ["ignore", "ignore", "pipe"] });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text) => {
      stderr += text;
    });
    const ended = once(child, "close");
    const begun = async () => (await readFile(at("run/answers.jsonl"), "utf8").catch(() => "")).includes("\n");
    while (!(await begun())) {
      if (child.exitCode !== null) throw new Error(stderr);
      await setTimeout(2);
    }
    // Two at once would ask the same.
    const second = await evaluate(...args);
    expect(second.stderr).toContain("Another process works in");
    child.kill("SIGINT");
    expect((await ended)[0]).toBe(1);
    expect(stderr).toContain("Interrupted. What was finished is in");
    const finished = (await answersIn("run")).length;
    expect(finished).toBeGreaterThan(0);
    expect(finished).toBeLessThan(720);
    const report = await evaluate("report", at("run"));
    expect(report).toMatchObject({ code: 0 });
    const fewer = await evaluate(...args, "--samples", "1");
    expect(fewer).toMatchObject({ code: 0 });
    expect((await answersIn("run")).length).toBeGreaterThanOrEqual(18);
  });
});

describe("a judge", { timeout: TIMEOUT }, () => {
  it("says of every answer how much of each attribute it has", async () => {
    const judge = await writeTinyJudge(at("judge"));
    await evaluate(
      ...argumentsFor("--adapter", adapter, "--strengths", "1", "--attributes", "quality,verbosity", "--judge", judge),
    );
    const scores = (await rowsOf("run/scores.jsonl")).map((row) => scoreSchema.parse(row));
    const judged = scores.filter(({ scorer }) => scorer === "judge");
    expect(judged).toHaveLength((await answersIn("run")).length);
    const qualities = new Set(judged.map(({ measures }) => measures["judge.quality"]));
    expect(qualities.size).toBeGreaterThan(10);
    const report = reportSchema.parse(JSON.parse(await readFile(at("run/report.json"), "utf8")));
    expect(report.quality_measure).toBe("judge.quality");
    expect(report.sweeps[0]).toMatchObject({ attribute: "quality", deciding: "judge.quality" });
    // Asked again without it, the report is of rules alone.
    await evaluate(...argumentsFor("--adapter", adapter, "--strengths", "1", "--attributes", "quality,verbosity"));
    const unjudged = reportSchema.parse(JSON.parse(await readFile(at("run/report.json"), "utf8")));
    expect(unjudged.quality_measure).toBeNull();
  });
});

describe("attune evaluate calibrate", { timeout: TIMEOUT }, () => {
  it("puts the calibration and the default strength into the adapter, as often as one likes", async () => {
    await cp(adapter, at("mine"), { recursive: true });
    await evaluate(
      ...argumentsFor("--adapter", at("mine"), "--strengths", "1,2", "--baseline", "none", "--no-perplexity"),
    );
    for (const _ of ["first", "again"]) {
      expect(await evaluate("calibrate", at("run"), "--adapter", at("mine"))).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^Steerable: .*\. Default strength: \d/),
      });
    }
    const calibration = calibrationSchema.parse(JSON.parse(await readFile(at("mine/calibration.json"), "utf8")));
    expect(calibration.attributes.verbosity).toMatchObject({ unit: "words", edges: [2, 4, 6, 8] });
    const opened = await openAdapter(at("mine"));
    await opened.close();
    expect(opened.profile).toEqual({ ...PROFILE, strength: calibration.default_strength });
  });

  it("belongs to no other adapter", async () => {
    await evaluate(...argumentsFor("--adapter", adapter, "--strengths", "1", "--baseline", "none", "--no-perplexity"));
    const other = await writeTinyAdapter(at("other"), { profile: PROFILE, updates: tinyUpdates(13) });
    const refused = await evaluate("calibrate", at("run"), "--adapter", other);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("evaluated another adapter") });
    await expect(access(join(other, "calibration.json"))).rejects.toThrow();
    expect((await evaluate("calibrate", at("nowhere"), "--adapter", other)).stderr).toContain("holds no evaluation");
  });
});

describe("perplexity", { timeout: TIMEOUT }, () => {
  it("is the plain model's of the answer after its prompt, as a plain implementation computes it", async () => {
    const checkpoint = await openCheckpoint(model.path);
    const tokenizer = await checkpoint.readTokenizer();
    const template = await checkpoint.readTemplate();
    await checkpoint.close();
    const messages = [{ role: "user" as const, content: "Who are you?" }];
    const steering = { effective: {}, method: "none" as const, preset: null, clamped: [], not_trained: [], note: null };
    const prompt = renderPrompt(tokenizer, template, { messages, steering, profile: null }).ids;
    // Longer than what is computed at once.
    const answer = "the user sat in it all ".repeat(12);
    const tokens = [...prompt, ...tokenizer.encodeText(answer)];
    const logits = referenceLogits(TINY_CONFIG, tinyWeights(), tokens);
    const losses = tokens.slice(prompt.length).map((token, index) => {
      const row = logits[prompt.length + index - 1] ?? [];
      const peak = Math.max(...row);
      return Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - peak), 0)) + peak - (row[token] ?? 0);
    });
    const expected = losses.reduce((sum, loss) => sum + loss, 0) / losses.length;

    const scorer = await PerplexityScorer.load(model.path, 1);
    // Weights in int8 differ by a few hundredths.
    expect(Math.abs((scorer.logPerplexity({ messages, answer }) ?? 0) - expected)).toBeLessThan(0.1);
    expect(scorer.logPerplexity({ messages, answer: "" })).toBeNull();
    scorer.release();
  });
});

/** An attribute prediction model with a random head over the tiny model's hidden state. */
async function writeTinyJudge(path: string): Promise<string> {
  await writeTinyAdapter(path);
  const weight = Float32Array.from({ length: TINY_CONFIG.hidden }, (_, index) => Math.sin(index));
  await writeFile(
    join(path, "head.safetensors"),
    safetensorsBytes([
      float32Tensor(HEAD_TENSORS.weight, [1, TINY_CONFIG.hidden], weight),
      float32Tensor(HEAD_TENSORS.bias, [1], Float32Array.of(2)),
    ]),
  );
  const sha256 = createHash("sha256")
    .update(await readFile(model.path))
    .digest("hex");
  const description: AttributeModelDescription = {
    version: 2,
    attributes: [{ name: "quality", mean: 2, by_length: { intercept: 2, slope: 0 }, spread: null }],
    text: DEFAULT_ATTRIBUTE_TEXT,
    measured: {},
    base: { name: "tiny", sha256 },
    training: { seed: "0", step: 0, answers: {}, validation: null },
  };
  await writeFile(join(path, "apm.json"), JSON.stringify(description));
  return path;
}
