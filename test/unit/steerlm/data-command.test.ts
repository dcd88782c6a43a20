import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { dataCommand } from "../../../gpu-worker/steerlm/data-command.ts";
import { type TerminalRun, terminalRun } from "../../fixtures/terminal-run.ts";
import { lines } from "./datasets/read-file.ts";

const CLI = fileURLToPath(new URL("../../../gpu-worker/cli.ts", import.meta.url));

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "attune-data-"));
});
afterEach(() => rm(directory, { recursive: true }));

/** `attune data …` with names of files in the directory, as a terminal shows it. */
const data = (...args: string[]): Promise<TerminalRun> => terminalRun(dataCommand(), args);

const at = (name: string) => join(directory, name);
const put = (name: string, content: string) => writeFile(at(name), content);
const rowsOf = async (name: string) => {
  const content = await readFile(at(name));
  const text = (name.endsWith(".gz") ? gunzipSync(content) : content).toString();
  return text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line)]));
};

const helpful = (prompt: string, helpfulness = 3) => ({ prompt, response: "A cat sat.", helpfulness });

describe("attune data describe", () => {
  test("prints tables, or JSON", async () => {
    await put("rows.jsonl", lines(helpful("a", 1), helpful("b", 3)));
    const table = await data("describe", at("rows.jsonl"));
    expect(table.stdout).toMatch(/^helpfulness\s+2\s+0\.0 %\s+2\.00\s+0\s+1\s+0\s+1\s+0$/m);
    expect(table.stderr).toContain("Read 2 conversations; nothing left out; 0 bad rows skipped.");
    const { stdout } = await data("describe", "--json", at("rows.jsonl"));
    expect(JSON.parse(stdout)).toMatchObject({
      conversations: 2,
      attributes: { helpfulness: { histogram: [0, 1, 0, 1, 0] } },
      left_out: {},
      bad_rows: 0,
    });
  });
});

describe("attune data convert", () => {
  test("writes what other trainers read, of several files, with labels measured", async () => {
    await put("one.jsonl", lines(helpful("a")));
    await put("two.json", JSON.stringify([{ instruction: "b", input: "", response: "A cat sat." }]));
    const { code, stderr } = await data(
      "convert",
      at("one.jsonl"),
      at("two.json"),
      "--to",
      "nemo",
      "--measure",
      "--out",
      at("out.jsonl.gz"),
    );
    expect({ code, stderr }).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/Wrote 2 rows to .*out\.jsonl\.gz\./),
    });
    expect((await rowsOf("out.jsonl.gz")).map((row) => row.conversations[1].label)).toEqual([
      "helpfulness:3,complexity:0,verbosity:0",
      "complexity:0,verbosity:0",
    ]);
  });

  test("stops at a bad row, names file and line and leaves nothing behind", async () => {
    await put("rows.jsonl", `${lines(helpful("a"))}{"prompt": 1}\n`);
    const { code, stderr } = await data("convert", at("rows.jsonl"), "--out", at("out.jsonl"));
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/rows\.jsonl:2: prompt: .*\n.*--on-bad-row skip/),
    });
    expect(await readdir(directory)).toEqual(["rows.jsonl"]);
  });

  test("reports bad rows that it skips, and counts them", async () => {
    await put("rows.jsonl", `${lines(helpful("a"))}{"prompt": 1}\noops\n`);
    const { code, stderr } = await data("convert", at("rows.jsonl"), "--out", at("out.jsonl"), "--on-bad-row", "skip");
    expect(code).toBe(0);
    expect(stderr).toMatch(
      /rows\.jsonl:2: .*\(skipped\)\n.*rows\.jsonl:3: not JSON.*\(skipped\)\n.*2 bad rows skipped/s,
    );
    expect(await rowsOf("out.jsonl")).toHaveLength(1);
  });

  test("leaves out questions that are held out, and drops labels by seed", async () => {
    await put("rows.jsonl", lines(...Array.from({ length: 50 }, (_, id) => helpful(`Question ${id}?`))));
    await put("bench.jsonl", lines({ question_id: 1, turns: ["question 7", "And then?"] }));
    const args = [
      "convert",
      at("rows.jsonl"),
      "--hold-out",
      at("bench.jsonl"),
      "--keep",
      "others=0.5",
      "--drop-all",
      "0.1",
    ];
    const { stderr } = await data(...args, "--out", at("out.jsonl"));
    expect(stderr).toContain("1 held out");
    await data(...args, "--seed", "2", "--out", at("other.jsonl"));
    const [rows, others] = [await rowsOf("out.jsonl"), await rowsOf("other.jsonl")];
    expect(rows).toHaveLength(49);
    const labelled = rows.filter((row) => row.turns[1].labels !== undefined);
    expect(labelled.length).toBeGreaterThan(8);
    expect(labelled.length).toBeLessThan(42);
    expect(others).not.toEqual(rows);
  });

  test("says which options it does not take", async () => {
    await put("rows.jsonl", lines(helpful("a")));
    for (const [flag, value] of [
      ["--to", "csv"],
      ["--format", "csv"],
      ["--keep", "speed=1"],
      ["--keep", "quality=2"],
      ["--verbosity-edges", "1,2,3"],
    ]) {
      const { code, stderr } = await data(
        "convert",
        at("rows.jsonl"),
        "--out",
        at("out.jsonl"),
        String(flag),
        String(value),
      );
      expect({ flag, code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining(String(flag)) });
    }
  });

  test("when interrupted ends with nothing half-written", async () => {
    const many = lines(...Array.from({ length: 20_000 }, (_, id) => helpful(`${id} ${"word ".repeat(100)}`)));
    for (const name of ["a", "b", "c", "d"]) await put(`${name}.jsonl`, many);
    await put("out.jsonl", "what was there before\n");
    const names = ["a", "b", "c", "d"].map((name) => `${name}.jsonl`);
    const args = [CLI, "data", "convert", ...names, "--measure", "--out", "out.jsonl"];
    const child = spawn(process.execPath, args, { cwd: directory, stdio: ["ignore", "ignore", "pipe"] });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text) => {
      stderr += text;
    });
    const ended = once(child, "close");
    while (!(await readdir(directory)).some((name) => name.includes(".part-"))) {
      if (child.exitCode !== null) throw new Error(stderr);
      await setTimeout(2);
    }
    child.kill("SIGINT");
    expect((await ended)[0]).toBe(1);
    expect(stderr).toBe("Interrupted. Nothing was written.\n");
    expect((await readdir(directory)).sort()).toEqual([...names, "out.jsonl"]);
    expect(await readFile(at("out.jsonl"), "utf8")).toBe("what was there before\n");
  });
});

describe("attune data split", () => {
  const prompts = Array.from({ length: 60 }, (_, id) => `Question ${id}?`);

  test("writes every conversation into one part, and moves none when rows come in between", async () => {
    await put("rows.jsonl", lines(...prompts.map((prompt) => helpful(prompt))));
    await put("more.jsonl", lines(...prompts.flatMap((prompt) => [helpful(`New: ${prompt}`), helpful(prompt)])));
    const partsOf = async (file: string, out: string) => {
      const { code } = await data("split", at(file), "--out-dir", at(out), "--parts", "train=3,test=1");
      expect(code).toBe(0);
      const entries = await Promise.all(
        ["train", "test"].map(async (part) =>
          (await rowsOf(`${out}/${part}.jsonl`)).map((row): [string, string] => [row.turns[0].text, part]),
        ),
      );
      return new Map(entries.flat());
    };
    const before = await partsOf("rows.jsonl", "before");
    const after = await partsOf("more.jsonl", "after");
    expect(before.size).toBe(60);
    expect(after.size).toBe(120);
    expect(new Set(before.values())).toEqual(new Set(["train", "test"]));
    for (const [prompt, part] of before) expect(after.get(prompt)).toBe(part);
  });

  test("names what stands in more than one part", async () => {
    const rows = Array.from({ length: 20 }, (_, tree) => ({
      messages: [
        { role: "user", content: "Hi there" },
        { role: "assistant", content: `Hello ${tree}` },
      ],
      tree_id: `tree ${tree}`,
    }));
    await put("rows.jsonl", lines(...rows));
    const { stderr } = await data(
      "split",
      at("rows.jsonl"),
      "--out-dir",
      at("parts"),
      "--parts",
      "train=1,test=1",
      "--to",
      "trl",
    );
    expect(stderr).toContain("In more than one part: 1 first turn.\n  ");
    expect(stderr).toContain('"Hi there"');
    expect(stderr).toContain("In more than one part: 0 whole conversations.");
  });
});
