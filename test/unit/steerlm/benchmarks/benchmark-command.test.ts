import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { benchmarkCommand } from "../../../../gpu-worker/steerlm/benchmarks/benchmark-command.ts";
import { type AskedChat, refuseChat, startChatServer } from "../../../fixtures/chat-server.ts";
import { terminalRun } from "../../../fixtures/terminal-run.ts";

const CLI = fileURLToPath(new URL("../../../../gpu-worker/cli.ts", import.meta.url));

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "attune-benchmark-"));
});
afterEach(() => rm(directory, { recursive: true }));

const at = (name: string) => join(directory, name);
const put = (name: string, rows: readonly object[]) =>
  writeFile(at(name), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
const rowsOf = async (name: string) =>
  (await readFile(at(name), "utf8")).split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line)]));

/** `attune benchmark …`. @returns what it printed. @throws Error as the terminal would show it */
async function benchmark(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await terminalRun(benchmarkCommand(), args);
  if (code !== 0) throw new Error(stderr);
  return stdout;
}

describe("attune benchmark prepare", () => {
  it("writes an answer a line, and scores of those lines become the benchmark's result", async () => {
    await put("rewardbench.jsonl", [
      { id: 1, subset: "hep-go", prompt: "Add", chosen: "a + b", rejected: "a - b", chosen_model: "x" },
      { id: 2, subset: "hep-go", prompt: "Sub", chosen: "a - b", rejected: " " },
    ]);
    await benchmark("prepare", "rewardbench", at("rewardbench.jsonl"), "--out", at("answers.jsonl"));
    const answers = await rowsOf("answers.jsonl");
    expect(answers.map(({ turns }) => turns.map(({ text }: { text: string }) => text))).toEqual([
      ["Add", "a + b"],
      ["Add", "a - b"],
      ["Sub", "a - b"],
      ["Sub", "(no answer)"],
    ]);
    const scores = [3, 1, 2, 2];
    await put(
      "scores.jsonl",
      answers.map(({ id }, index) => ({ id, predicted: { quality: scores[index], helpfulness: 1 } })),
    );
    const result = JSON.parse(await benchmark("rewardbench", at("scores.jsonl"), "--json"));
    expect(result).toMatchObject({ pairs: 2, subsets: { "hep-go": 0.5 }, sections: { Reasoning: 0.5 }, overall: null });
    expect(await benchmark("rewardbench", at("scores.jsonl"))).toContain("Reasoning: 0.5000");
  });

  it("reads RewardBench 2 and RM-Bench as they are published", async () => {
    await put("rb2.jsonl", [
      { id: "7", subset: "Math", prompt: "1 + 1?", chosen: ["2"], rejected: ["3", "4", "5"], num_correct: 1 },
    ]);
    await benchmark("prepare", "rewardbench2", at("rb2.jsonl"), "--out", at("rb2.answers.jsonl"));
    const tasks = (await rowsOf("rb2.answers.jsonl")).map(({ id }, index) => ({ id, score: -index }));
    await put("rb2.scores.jsonl", tasks);
    expect(JSON.parse(await benchmark("rewardbench2", at("rb2.scores.jsonl"), "--json"))).toMatchObject({
      domains: { Math: 1 },
    });

    const row = { id: "c1", domain: "chat", prompt: "Hi", chosen: ["a", "b", "c"], rejected: ["d", "e", "f"] };
    await writeFile(at("rm.json"), JSON.stringify([row]));
    await benchmark("prepare", "rm-bench", at("rm.json"), "--out", at("rm.answers.jsonl"));
    await put(
      "rm.scores.jsonl",
      (await rowsOf("rm.answers.jsonl")).map(({ id }, index) => ({ id, score: -index })),
    );
    expect(JSON.parse(await benchmark("rm-bench", at("rm.scores.jsonl"), "--json")).domains.chat).toEqual({
      hard: 1,
      normal: 1,
      easy: 1,
      average: 1,
    });
  });

  it("keeps a system prompt and earlier turns of a conversation, and takes the subset from whoever knows it", async () => {
    const prompt = [
      { role: "system", content: "Be kind." },
      { role: "user", content: "Hi" },
      { role: "assistant", content: "Hello" },
      { role: "user", content: "Bye" },
    ];
    await put("prior.jsonl", [{ prompt, chosen: "See you", rejected: "Go" }]);
    const prepare = ["prepare", "rewardbench", at("prior.jsonl"), "--out", at("answers.jsonl")];
    await expect(benchmark(...prepare)).rejects.toThrow("prior.jsonl:1: it does not say its subset or domain");
    await benchmark(...prepare, "--subset", "anthropic_hhh");
    const [answer] = await rowsOf("answers.jsonl");
    expect(answer).toMatchObject({ system: "Be kind.", turns: [{}, { role: "assistant" }, {}, { text: "See you" }] });
  });

  it("says which line is wrong, and writes nothing then", async () => {
    await put("broken.jsonl", [{ id: 1, subset: "hep-go", prompt: "Add", chosen: "a + b" }]);
    const work = benchmark("prepare", "rewardbench", at("broken.jsonl"), "--out", at("answers.jsonl"));
    await expect(work).rejects.toThrow("broken.jsonl:1: rejected: ");
    expect(await readdir(directory)).toEqual(["broken.jsonl"]);
  });

  it("refuses scores of something else, and scores that are none", async () => {
    await put("other.jsonl", [{ id: "7d05", predicted: { quality: 3 } }]);
    await expect(benchmark("rewardbench", at("other.jsonl"))).rejects.toThrow(
      "other.jsonl:1: the id 7d05 is no answer",
    );
    await put("none.jsonl", [{ id: "7d05" }]);
    await expect(benchmark("rewardbench", at("none.jsonl"))).rejects.toThrow(
      "none.jsonl:1: must have an id, and a score",
    );
  });
});

const QUESTIONS = [
  { question_id: 81, category: "writing", turns: ["Write a line.", "Again."] },
  { question_id: 111, category: "math", turns: ["2 + 2?", "And 3 + 3?"] },
];
const prompt = (name: string, prompt_template: string) => ({
  name,
  system_prompt: `You are ${name}.`,
  prompt_template,
});
const PROMPTS = [
  prompt("single-v1", "Q: {question} A: {answer}"),
  prompt("single-v1-multi-turn", "Q1: {question_1} A1: {answer_1} Q2: {question_2} A2: {answer_2}"),
  prompt("single-math-v1", "Q: {question} R: {ref_answer_1} A: {answer}"),
  prompt("single-math-v1-multi-turn", "Q2: {question_2} R2: {ref_answer_2} A1: {answer_1} A2: {answer_2}"),
];

const last = ({ messages }: AskedChat): string => messages.at(-1)?.content ?? "";

/** Files and options of an MT-Bench run. */
async function mtBench(judge: string, model: string): Promise<string[]> {
  await put("questions.jsonl", QUESTIONS);
  await put("prompts.jsonl", PROMPTS);
  await put("references.jsonl", [{ question_id: 111, choices: [{ index: 0, turns: ["4", "6"] }] }]);
  const files = [
    "--questions",
    at("questions.jsonl"),
    "--prompts",
    at("prompts.jsonl"),
    "--references",
    at("references.jsonl"),
  ];
  const servers = ["--judge-url", judge, "--judge-model", "judge", "--url", model, "--model", "steered"];
  return ["mt-bench", ...files, ...servers, "--out-dir", at("run"), "--concurrency", "1", "--json"];
}

describe("attune benchmark mt-bench", () => {
  it("asks both turns as MT-Bench does, has each judged by its prompt, and sums the ratings up", async () => {
    const model = await startChatServer((asked) => `answer to ${last(asked)}`);
    const judge = await startChatServer((asked) => (last(asked).startsWith("Q2") ? "[[4]]" : "Rating: [[8]]"));
    const result = JSON.parse(
      await benchmark(...(await mtBench(judge.url, model.url)), "--body", '{"steer":{"attributes":{"verbosity":1}}}'),
    );
    expect(result).toEqual({
      judgments: 4,
      unrated: 0,
      first_turn: 8,
      second_turn: 6,
      average: 7,
      categories: { writing: 8, math: 6 },
    });
    expect(model.asked.map(({ temperature, max_tokens }) => [temperature, max_tokens])).toEqual([
      [0.7, 1024],
      [0.7, 1024],
      [0, 1024],
      [0, 1024],
    ]);
    expect(model.asked[1]).toMatchObject({
      model: "steered",
      steer: { attributes: { verbosity: 1 } },
      messages: [
        { content: "Write a line." },
        { role: "assistant", content: "answer to Write a line." },
        { content: "Again." },
      ],
    });
    expect(judge.asked.map(last)).toEqual([
      "Q: Write a line. A: answer to Write a line.",
      "Q1: Write a line. A1: answer to Write a line. Q2: Again. A2: answer to Again.",
      "Q: 2 + 2? R: 4 A: answer to 2 + 2?",
      "Q2: And 3 + 3? R2: 6 A1: answer to 2 + 2? A2: answer to And 3 + 3?",
    ]);
    expect(judge.asked.every(({ temperature, max_tokens }) => temperature === 0 && max_tokens === 2048)).toBe(true);
    expect(await rowsOf("run/answers.jsonl")).toHaveLength(2);
    expect((await rowsOf("run/judgments.jsonl"))[3]).toMatchObject({ judge: "single-math-v1-multi-turn", score: 4 });
  });

  it("goes on where it was broken off, and asks nothing twice", async () => {
    const model = await startChatServer((asked) => `answer to ${last(asked)}`);
    let isBroken = true;
    const judge = await startChatServer((asked, response) =>
      isBroken && last(asked).startsWith("Q2") ? refuseChat(response, 402, "Your credit is used up") : "[[5]]",
    );
    const args = await mtBench(judge.url, model.url);
    await expect(benchmark(...args)).rejects.toThrow("HTTP 402: Your credit is used up");
    const before = judge.asked.length;
    isBroken = false;
    expect(JSON.parse(await benchmark(...args))).toMatchObject({ judgments: 4, average: 5 });
    expect(model.asked).toHaveLength(4);
    // What was refused, and what was not asked yet.
    expect(judge.asked.length - before).toBe(1);
  });

  it("ends at Ctrl-C with what was answered kept", async () => {
    const model = await startChatServer((asked) => `answer to ${last(asked)}`);
    let hang = true;
    let child: ReturnType<typeof spawn> | undefined;
    const judge = await startChatServer(() => {
      if (!hang) return "[[5]]";
      child?.kill("SIGINT");
      return undefined;
    });
    const args = await mtBench(judge.url, model.url);
    child = spawn(process.execPath, [CLI, "benchmark", ...args], { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr?.on("data", (piece: Buffer) => {
      said += piece.toString();
    });
    const [code] = await once(child, "close");
    expect(code).toBe(1);
    expect(said).toContain("Interrupted. What was answered is kept: the same command goes on from there.");
    hang = false;
    expect(JSON.parse(await benchmark(...args))).toMatchObject({ judgments: 4, average: 5 });
    expect(model.asked).toHaveLength(4);
  }, 60_000);

  it("says before anything is asked what is missing", async () => {
    const model = await startChatServer(() => "");
    const args = await mtBench(model.url, model.url);
    await put("references.jsonl", [{ question_id: 5, choices: [{ turns: ["4", "6"] }] }]);
    await expect(benchmark(...args)).rejects.toThrow("references.jsonl lacks answers to 1 of 1 questions, such as 111");
    await put("prompts.jsonl", PROMPTS.slice(0, 2));
    await put("references.jsonl", [{ question_id: 111, choices: [{ turns: ["4", "6"] }] }]);
    await expect(benchmark(...args)).rejects.toThrow("prompts.jsonl has no prompt single-math-v1");
    await expect(benchmark(...args, "--judge-key-env", "NO_SUCH_KEY")).rejects.toThrow(
      "NO_SUCH_KEY, which should hold",
    );
    await expect(benchmark(...args, "--answers", at("questions.jsonl"))).rejects.toThrow("give one of them");
    const without = args.filter((arg, index) => arg !== "--url" && args[index - 1] !== "--url");
    await expect(benchmark(...without)).rejects.toThrow("Name the server that answers with --url and --model");
    await expect(benchmark(...args, "--judge-url", "localhost")).rejects.toThrow("Must be a URL");
    expect(model.asked).toEqual([]);
  });
});

describe("attune benchmark vicuna", () => {
  it("has both answers scored in both orders, by the category's prompt", async () => {
    await put("questions.jsonl", [
      { question_id: 1, category: "generic", turns: ["Why?"] },
      { question_id: 61, category: "coding", turns: ["Sort."] },
    ]);
    const template = "{prompt} {question} 1: {answer_1} 2: {answer_2}";
    await put("prompts.jsonl", [
      { category: "general", system_prompt: "Be fair.", prompt_template: template, defaults: { prompt: "Score." } },
      { category: "coding", system_prompt: "Be fair.", prompt_template: template, defaults: { prompt: "Review." } },
    ]);
    const stored = (turns: Record<number, string>) =>
      Object.entries(turns).map(([id, turn]) => ({ question_id: Number(id), choices: [{ turns: [turn] }] }));
    await put("answers.jsonl", stored({ 1: "mine", 61: "my code" }));
    await put("reference.jsonl", stored({ 1: "theirs", 61: "their code" }));
    // Whoever is first gets a point more; mine is worth 6, theirs 4.
    const judge = await startChatServer((asked) => {
      const [, first = "", second = ""] = /1: (.*) 2: (.*)$/.exec(last(asked)) ?? [];
      const worth = (answer: string) => (answer.startsWith("m") ? 6 : 4);
      return `${worth(first) + 1} ${worth(second)}\nBecause.`;
    });
    const args = [
      "--questions",
      at("questions.jsonl"),
      "--prompts",
      at("prompts.jsonl"),
      "--reference",
      at("reference.jsonl"),
    ];
    const result = await benchmark(
      "vicuna",
      ...args,
      "--answers",
      at("answers.jsonl"),
      "--judge-url",
      judge.url,
      "--judge-model",
      "gpt",
      "--out-dir",
      at("run"),
      "--json",
    );
    expect(JSON.parse(result)).toEqual({
      questions: 2,
      unscored: 0,
      reference_score: 9,
      model_score: 13,
      percent: (100 * 13) / 9,
      wins: 2,
      ties: 0,
      losses: 0,
    });
    expect(judge.asked.map(last).sort()).toEqual([
      "Review. Sort. 1: my code 2: their code",
      "Review. Sort. 1: their code 2: my code",
      "Score. Why? 1: mine 2: theirs",
      "Score. Why? 1: theirs 2: mine",
    ]);
  });
});

describe("attune benchmark alpaca-eval", () => {
  const instructions = Array.from({ length: 30 }, (_, index) => `Instruction ${index}`);
  async function alpacaEval(judge: string): Promise<string[]> {
    await put(
      "baseline.jsonl",
      instructions.map((instruction, index) => ({ instruction, output: "b".repeat(10 + index) })),
    );
    await put(
      "answers.jsonl",
      instructions.map((instruction, index) => ({ instruction, output: "m".repeat(40 - index) })),
    );
    await writeFile(at("prompt.txt"), "<|im_start|>user\n{instruction}\nm: {output_1}\nM: {output_2}\n<|im_end|>");
    const rows = instructions.map((_, index) => `${index},0.${(index % 9) + 1},${(index % 7) - 3},${(index % 5) - 2}`);
    await writeFile(at("gamed.csv"), `index,preference,std_delta_len,instruction_difficulty\n${rows.join("\n")}\n`);
    const files = ["--baseline", at("baseline.jsonl"), "--answers", at("answers.jsonl"), "--prompt", at("prompt.txt")];
    return ["alpaca-eval", ...files, "--judge-url", judge, "--judge-model", "gpt", "--out-dir", at("run"), "--json"];
  }

  it("shows each pair in an order that the instruction decides, and counts for the model whichever name it has", async () => {
    // Prefers what holds an m-text, whatever it is called, by 3 to 1.
    const judge = await startChatServer((asked) => {
      const [, name] = /(m|M): m/.exec(last(asked)) ?? [];
      const share = (of: string) => Math.log(of === name ? 0.75 : 0.25);
      return { content: name ?? "", first: { m: share("m"), M: share("M") } };
    });
    const result = JSON.parse(await benchmark(...(await alpacaEval(judge.url)), "--gamed", at("gamed.csv")));
    expect(result.win_rate).toBeCloseTo(75, 8);
    expect(result).toMatchObject({ instructions: 30, unjudged: 0, discrete_win_rate: 100 });
    expect(result.length_control.length_controlled_win_rate).toBeGreaterThan(50);
    const swapped = (await rowsOf("run/annotations.jsonl")).filter((row) => row.swapped).length;
    expect(swapped).toBeGreaterThan(5);
    expect(swapped).toBeLessThan(25);
    expect(judge.asked[0]).toMatchObject({ max_tokens: 1, logprobs: true, top_logprobs: 5 });
  });

  it("leaves out what the judge did not decide, and says how many", async () => {
    const judge = await startChatServer((asked) => {
      const isOdd = last(asked).includes("Instruction 1\n");
      return { content: "", first: isOdd ? { Both: -1 } : { m: Math.log(0.5), M: Math.log(0.5) } };
    });
    const result = JSON.parse(await benchmark(...(await alpacaEval(judge.url))));
    expect(result).toMatchObject({ instructions: 29, unjudged: 1, win_rate: 50, length_control: null });
  });

  it("is refused with a judge whose server says no log-probabilities", async () => {
    const judge = await startChatServer(() => "m");
    await expect(benchmark(...(await alpacaEval(judge.url)))).rejects.toThrow("says no log-probabilities");
  });

  it("is refused where the model lacks an output", async () => {
    const judge = await startChatServer(() => "m");
    const args = await alpacaEval(judge.url);
    await put("answers.jsonl", [{ instruction: "Instruction 0", output: "m" }]);
    await expect(benchmark(...args)).rejects.toThrow("lacks outputs for 29 of 30 instructions, such as: Instruction 1");
    expect(judge.asked).toEqual([]);
  });
});
