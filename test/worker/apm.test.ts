import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { Command } from "commander";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { openAdapter } from "../../gpu-worker/model/adapter.ts";
import { openAttributeModel } from "../../gpu-worker/model/attribute-model.ts";
import { AttributeScorer } from "../../gpu-worker/runtime/attribute-scorer.ts";
import { annotateCommand } from "../../gpu-worker/steerlm/annotate/annotate-command.ts";
import { apmCommand } from "../../gpu-worker/steerlm/apm/apm-command.ts";
import { type TerminalRun, terminalRun } from "../fixtures/terminal-run.ts";
import { writeTinyModel } from "../fixtures/tiny-llama.ts";

const CLI = fileURLToPath(new URL("../../gpu-worker/cli.ts", import.meta.url));
const TRAINING = [
  ...["--steps", "40", "--lr", "3e-3", "--warm-up", "3", "--rank", "4", "--alpha", "8", "--validate-every", "10"],
  ...["--batch-tokens", "1024", "--micro-tokens", "512", "--cores", "1"],
];

/** A busy machine takes its time to start a process. */
const TIMEOUT = 120_000;

let model: Awaited<ReturnType<typeof writeTinyModel>>;
let directory: string;
const at = (name: string) => join(directory, name);

/** An answer is as toxic as it says "zz", and the less funny; how long it is says nothing. */
function row(index: number) {
  const rude = index % 4;
  const filler = "the user sat in it all ".repeat(1 + ((index * 7) % 3));
  return {
    ...{ id: `c${index}`, source: "oasst", tree: `t${Math.floor(index / 2)}` },
    turns: [
      { role: "user", text: `Question ${index}` },
      { role: "assistant", text: `${"zz ".repeat(rude)}${filler}`, labels: { toxicity: rude, humor: 3.5 - rude } },
    ],
  };
}

const lines = (rows: unknown[]) => rows.map((one) => `${JSON.stringify(one)}\n`).join("");

/** `attune …`, as a terminal shows it. */
const attune = (...args: string[]): Promise<TerminalRun> =>
  terminalRun(new Command().addCommand(apmCommand()).addCommand(annotateCommand()), [...args, "--model", model.path]);

/** The same in a process of its own, at which somebody presses Ctrl-C once something is so. */
async function stopped(args: string[], isTime: (stderr: string) => Promise<boolean>): Promise<TerminalRun> {
  const child = spawn(process.execPath, [CLI, ...args, "--model", model.path], { stdio: ["ignore", "ignore", "pipe"] });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text) => {
    stderr += text;
  });
  const ended = once(child, "close");
  while (child.exitCode === null && !(await isTime(stderr))) await setTimeout(2);
  child.kill("SIGINT");
  const [code] = await ended;
  return { code, stdout: "", stderr };
}

async function rowsOf(name: string) {
  const bytes = await readFile(at(name));
  const text = (name.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString();
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

let trained: TerminalRun;
beforeAll(async () => {
  model = await writeTinyModel();
  vi.stubEnv("ATTUNE_CACHE_DIR", model.directory);
  directory = await mkdtemp(join(tmpdir(), "attune-apm-"));
  await writeFile(at("rows.jsonl"), lines(Array.from({ length: 200 }, (_, index) => row(index))));
  await writeFile(at("new.jsonl"), lines(Array.from({ length: 24 }, (_, index) => row(1000 + index))));
  trained = await attune("apm", "train", at("rows.jsonl"), "--out", at("run"), ...TRAINING);
}, TIMEOUT);
afterAll(async () => {
  vi.unstubAllEnvs();
  await model.remove();
  await rm(directory, { recursive: true });
});

describe("attune apm train", { timeout: TIMEOUT }, () => {
  it("learns what people judged, and keeps the model as it was best on trees held out", async () => {
    expect(trained).toMatchObject({ code: 0, stderr: expect.stringContaining("The attribute prediction model is") });
    const validations = await rowsOf("run/validations.jsonl");
    expect(validations.map(({ step }) => step)).toEqual([10, 20, 30, 40]);
    const opened = await openAttributeModel(at("run/apm"));
    await opened.close();
    const { attributes, training } = opened.description;
    expect(attributes.map(({ name }) => name)).toEqual(["toxicity", "humor"]);
    expect(training.validation?.error).toBe(Math.min(...validations.map(({ error }) => error)));
    expect(training.validation?.error).toBeLessThan(0.3);
  });

  it("writes a LoRA that others load, without a steering profile", async () => {
    const adapter = await openAdapter(at("run/apm"));
    await adapter.close();
    expect(adapter.profile).toBeNull();
    expect(adapter.updates.get("model.layers.0.self_attn.q_proj")).toMatchObject({ rank: 4, scale: 2 });
    expect(await readdir(at("run"))).toEqual(["apm", "checkpoint", "history.jsonl", "lock", "validations.jsonl"]);
  });

  it("goes on after Ctrl-C to the very model that an uninterrupted run ends with", async () => {
    const args = ["apm", "train", at("rows.jsonl"), "--out", at("broken"), ...TRAINING];
    const broken = await stopped(args, async (stderr) => stderr.includes("Held out after step 10"));
    expect(broken).toMatchObject({ code: 130, stderr: expect.stringMatching(/Interrupted after \d+ steps.*--resume/) });
    expect(await attune(...args)).toMatchObject({ code: 1, stderr: expect.stringContaining("--resume") });
    expect((await attune(...args, "--resume")).code).toBe(0);
    for (const file of ["adapter_model.safetensors", "head.safetensors", "apm.json"]) {
      expect((await readFile(at(`broken/apm/${file}`))).equals(await readFile(at(`run/apm/${file}`))), file).toBe(true);
    }
  });

  it("refuses to go on with other data", async () => {
    const args = ["--out", at("run"), ...TRAINING, "--resume"];
    const { stderr } = await attune("apm", "train", at("new.jsonl"), ...args);
    expect(stderr).toMatch(/begun otherwise:\n {2}data: /);
  });

  it("never predicts what is measured", async () => {
    const steps = [...TRAINING, "--steps", "1"];
    await attune(
      "apm",
      "train",
      at("rows.jsonl"),
      "--measure",
      "--verbosity-edges",
      "1,2,3,4",
      "--out",
      at("measured"),
      ...steps,
    );
    const opened = await openAttributeModel(at("measured/apm"));
    await opened.close();
    expect(opened.description.attributes.map(({ name }) => name)).toEqual(["toxicity", "humor"]);
    expect(opened.description.measured.verbosity).toEqual([1, 2, 3, 4]);
    const { stdout } = await attune("apm", "score", "--answer", "one two three", "--apm", at("measured/apm"));
    expect(JSON.parse(stdout)).toMatchObject({ verbosity: 2 });
  });
});

describe("a scorer", { timeout: TIMEOUT }, () => {
  const answers = Array.from({ length: 30 }, (_, index) => ({
    messages: [{ role: "user" as const, content: "word ".repeat(1 + ((index * 13) % 20)) }],
    answer: `${"zz ".repeat(index % 4)}${"it sat ".repeat(1 + ((index * 11) % 17))}`,
  }));

  it("reads the same off an answer alone as beside others, in any order", async () => {
    const scorer = await AttributeScorer.load({ model: model.path, apm: at("run/apm"), cores: 1 });
    try {
      const together = await scorer.score(answers);
      const backwards = (await scorer.score(answers.toReversed())).toReversed();
      for (const [index, answer] of answers.entries()) {
        const [alone] = await scorer.score([answer]);
        for (const other of [together[index], backwards[index]]) {
          expect(Math.abs((alone?.toxicity ?? 0) - (other?.toxicity ?? Number.NaN))).toBeLessThan(1e-4);
          expect(Math.abs((alone?.humor ?? 0) - (other?.humor ?? Number.NaN))).toBeLessThan(1e-4);
        }
      }
    } finally {
      scorer.release();
    }
  });

  it("ends when it is told to", async () => {
    const scorer = await AttributeScorer.load({ model: model.path, apm: at("run/apm"), cores: 1 });
    try {
      await expect(scorer.score(answers, { signal: AbortSignal.abort(new Error("Enough")) })).rejects.toThrow("Enough");
      expect(await scorer.score([])).toEqual([]);
    } finally {
      scorer.release();
    }
  });

  it("refuses other weights than the model was trained on, and directories that hold none", async () => {
    const path = join(model.directory, "other.gguf");
    await cp(model.path, path);
    await appendFile(path, Buffer.alloc(32));
    await expect(AttributeScorer.load({ model: path, apm: at("run/apm") })).rejects.toThrow("trained on other weights");
    await expect(AttributeScorer.load({ model: model.path, apm: at("run") })).rejects.toThrow("attune apm train");
  });
});

describe("attune apm score", { timeout: TIMEOUT }, () => {
  it("writes what it reads off each answer, beside what people judged", async () => {
    const { code } = await attune("apm", "score", at("new.jsonl"), "--apm", at("run/apm"), "--out", at("scores.jsonl"));
    expect(code).toBe(0);
    const rows = await rowsOf("scores.jsonl");
    expect(rows).toHaveLength(24);
    expect(rows[3]).toMatchObject({ id: "c1003", source: "oasst", turn: 1, labels: { toxicity: 3, humor: 0.5 } });
    expect(rows[3].predicted.toxicity - rows[0].predicted.toxicity).toBeGreaterThan(1.5);
  });

  it("says what it needs", async () => {
    const nothing = await attune("apm", "score", at("new.jsonl"), "--apm", at("run/apm"));
    expect(nothing).toMatchObject({ code: 1, stderr: expect.stringContaining("--out") });
    const empty = await attune("apm", "score", "--answer", " ", "--apm", at("run/apm"));
    expect(empty).toMatchObject({ code: 1, stderr: expect.stringContaining("There is no answer") });
  });
});

describe("attune apm evaluate", { timeout: TIMEOUT }, () => {
  it("correlates predictions with labels, and says what length alone would do", async () => {
    const { code, stdout } = await attune(
      "apm",
      "evaluate",
      at("new.jsonl"),
      "--apm",
      at("run/apm"),
      "--out",
      at("evaluation"),
    );
    expect(code).toBe(0);
    expect(stdout).toMatch(/^oasst toxicity\s+24\s+12\s+0\.\d\d\s+0\.9\d \[/m);
    const report = JSON.parse(await readFile(at("evaluation/report.json"), "utf8"));
    expect(report.agreement[0]).toMatchObject({ attribute: "toxicity", answers: 24, trees: 12 });
    expect(report.agreement[0].gain.interval.low).toBeGreaterThan(0.2);
  });

  it("counts how often the answer that people preferred is read as the better one", async () => {
    const side = (rude: number) => `\n\nHuman: Go?\n\nAssistant: ${"zz ".repeat(rude)}the user sat in it`;
    const pairs = Array.from({ length: 6 }, () => ({ chosen: side(0), rejected: side(3) }));
    await writeFile(
      at("pairs.jsonl"),
      lines(pairs.map((pair, index) => ({ ...pair, chosen: `${pair.chosen} ${index}` }))),
    );
    const { stdout } = await attune(
      "apm",
      "evaluate",
      at("pairs.jsonl"),
      "--apm",
      at("run/apm"),
      "--out",
      at("compared"),
    );
    expect(stdout).toMatch(/^pairs\.jsonl\s+harmless\s+6\s+0\s+1\.00/m);
    expect(stdout).toMatch(/^pairs\.jsonl\s+length\s+6\s+0\s+/m);
    expect(stdout).not.toContain("helpful");
  });

  it("cross-validates by tree, and does not train again what is trained", async () => {
    const args = [at("rows.jsonl"), "--folds", "2", "--out", at("folds"), ...TRAINING];
    const first = await attune("apm", "evaluate", ...args);
    expect(first.code).toBe(0);
    expect(first.stdout).toMatch(/^oasst toxicity\s+200\s+100\s+/m);
    const again = await attune("apm", "evaluate", ...args);
    expect(again.stdout).toBe(first.stdout);
    expect(again.stderr).not.toContain("Held out after step");
    const trees = (await Promise.all([1, 2].map((fold) => rowsOf(`folds/fold-${fold}/predictions.jsonl`)))).map(
      (rows) => new Set(rows.map(({ id }) => Math.floor(Number(/c(\d+)/.exec(id)?.[1]) / 2))),
    );
    expect([...(trees[0] ?? [])].filter((tree) => trees[1]?.has(tree))).toEqual([]);
  });

  it("wants either a model or folds, and something to measure on", async () => {
    const both = await attune("apm", "evaluate", at("new.jsonl"), "--out", at("none"));
    expect(both.stderr).toContain("--apm, or ask for cross-validation by --folds");
    await writeFile(at("plain.jsonl"), lines([{ prompt: "Q", response: "A" }]));
    const plain = await attune("apm", "evaluate", at("plain.jsonl"), "--apm", at("run/apm"), "--out", at("none"));
    expect(plain.stderr).toContain("neither labels nor compared answers");
  });
});

describe("attune annotate", { timeout: TIMEOUT }, () => {
  const annotate = (out: string, ...more: string[]) =>
    attune("annotate", at("new.jsonl"), "--apm", at("run/apm"), "--out", at(out), ...more);

  it("labels every answer by what it reads and measures, and keeps what people judged", async () => {
    expect(await annotate("annotated.jsonl.gz")).toMatchObject({
      code: 0,
      stderr: expect.stringContaining("Wrote 24 rows"),
    });
    const rows = await rowsOf("annotated.jsonl.gz");
    expect(rows.map(({ id }) => id)).toEqual(Array.from({ length: 24 }, (_, index) => `c${1000 + index}`));
    const [, answer] = rows[1].turns;
    expect(answer.human).toEqual({ toxicity: 1, humor: 2.5 });
    expect(answer.labels).toEqual(answer.predicted);
    expect(Object.keys(answer.predicted)).toEqual(["toxicity", "humor", "complexity", "verbosity"]);
    expect(await readdir(directory)).not.toContain("annotated.jsonl.gz.partial");
  });

  it("is read by every command that reads data", async () => {
    await annotate("again.jsonl");
    const { code } = await attune(
      "annotate",
      at("again.jsonl"),
      "--apm",
      at("run/apm"),
      "--labels",
      "human",
      "--out",
      at("twice.jsonl"),
    );
    expect(code).toBe(0);
    const [, answer] = (await rowsOf("twice.jsonl"))[1].turns;
    expect(answer).toMatchObject({ human: { toxicity: 1, humor: 2.5 }, labels: { toxicity: 1, humor: 2.5 } });
  });

  it("takes a conversation that comes again once", async () => {
    const rows = [row(1), row(2), row(1)];
    await writeFile(at("doubles.jsonl"), lines(rows));
    const { stderr } = await attune(
      "annotate",
      at("doubles.jsonl"),
      "--apm",
      at("run/apm"),
      "--out",
      at("single.jsonl"),
    );
    expect(stderr).toContain("1 conversation came more than once");
    expect(await rowsOf("single.jsonl")).toHaveLength(2);
  });

  it("goes on after Ctrl-C where it was, to the same file", async () => {
    await writeFile(at("many.jsonl"), lines(Array.from({ length: 1500 }, (_, index) => row(index))));
    const args = ["annotate", at("many.jsonl"), "--apm", at("run/apm"), "--cores", "1", "--out"];
    const hasRows = async () => (await readFile(at("many.out.partial/rows.jsonl")).catch(() => "")).length > 2000;
    const broken = await stopped([...args, at("many.out")], hasRows);
    expect(broken).toMatchObject({ code: 1, stderr: expect.stringContaining("Go on with the same command") });
    expect(await readdir(directory)).not.toContain("many.out");
    // As if the power had failed while a row was written.
    await appendFile(at("many.out.partial/rows.jsonl"), '{"id":"c');

    const other = await attune(...args, at("many.out"), "--labels", "human");
    expect(other).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("--labels: predicted when it was begun, human now"),
    });
    for (const [found, rows] of [
      ["conversation 1: c0 then, c1 now", [row(1)]],
      ["conversation 2: c1 then, none now", [row(0)]],
    ] as const) {
      await writeFile(at("changed.jsonl"), lines([...rows]));
      const { stderr } = await attune("annotate", at("changed.jsonl"), ...args.slice(2), at("many.out"));
      expect(stderr).toContain(found);
    }
    const resumed = await attune(...args, at("many.out"));
    expect(resumed).toMatchObject({ code: 0, stderr: expect.stringMatching(/Going on after \d+ conversations/) });
    const rows = await rowsOf("many.out");
    expect(rows.map(({ id }) => id)).toEqual(Array.from({ length: 1500 }, (_, index) => `c${index}`));
    await attune(...args, at("whole.out"));
    const whole = await rowsOf("whole.out");
    const far = rows.filter(
      ({ turns }, index) => Math.abs(turns[1].predicted.toxicity - whole[index].turns[1].predicted.toxicity) > 2e-4,
    );
    expect(far).toEqual([]);
  });
});
