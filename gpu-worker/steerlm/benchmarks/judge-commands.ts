import { type Command, InvalidArgumentError, Option } from "commander";
import { z } from "zod";
import { PATIENCE } from "../../model/patience.ts";
import { countProgress } from "../evaluate/progress.ts";
import { Interruption } from "../interruption.ts";
import { CHAT_PATIENCE, type ChatServer } from "./chat-server.ts";
import { JudgeRun } from "./judge-run.ts";
import { printResult } from "./print-result.ts";
import { runAlpacaEval } from "./run-alpaca-eval.ts";
import { runMtBench } from "./run-mt-bench.ts";
import { runVicuna } from "./run-vicuna.ts";

const bodySchema = z.record(z.string(), z.unknown());

function body(text: string): Record<string, unknown> {
  try {
    return bodySchema.parse(JSON.parse(text));
  } catch {
    throw new InvalidArgumentError("Must be a JSON object.");
  }
}

function serverUrl(text: string): string {
  if (/^https?:\/\//.test(text) && URL.canParse(text)) return text;
  throw new InvalidArgumentError("Must be a URL such as https://api.openai.com/v1.");
}

function count(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= 256) return value;
  throw new InvalidArgumentError("Must be a whole number from 1 to 256.");
}

type JudgeFlags = {
  outDir: string;
  judgeUrl: string;
  judgeModel: string;
  judgeKeyEnv?: string;
  judgeBody?: Record<string, unknown>;
  url?: string;
  model?: string;
  keyEnv?: string;
  body?: Record<string, unknown>;
  answers?: string;
  concurrency: number;
  json: boolean;
};

/** The options of every command that has answers judged. */
function withJudgeOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--judge-url <url>", "the judge's server, up to and including /v1")
        .argParser(serverUrl)
        .makeOptionMandatory(),
    )
    .requiredOption("--judge-model <name>", "what that server calls the judge")
    .option("--judge-key-env <variable>", "variable that holds the key for it")
    .addOption(new Option("--judge-body <json>", "more fields of its requests; null takes one away").argParser(body))
    .option("--answers <file>", "the answers to judge; without it they are asked for")
    .addOption(new Option("--url <url>", "the server that answers, up to and including /v1").argParser(serverUrl))
    .option("--model <name>", "what that server calls the model")
    .option("--key-env <variable>", "variable that holds the key for it")
    .addOption(new Option("--body <json>", "more fields of its requests, such as steer").argParser(body))
    .addOption(new Option("--concurrency <number>", "requests at once").argParser(count).default(4))
    .requiredOption(
      "--out-dir <directory>",
      "keeps all answers and results; the same command goes on where it was broken off",
    )
    .option("--json", "print JSON", false);
}

function keyOf(variable: string | undefined): string | undefined {
  if (variable === undefined) return undefined;
  const key = process.env[variable] ?? "";
  if (key !== "") return key;
  throw new Error(`${variable}, which should hold a server's key, is not set.`);
}

function answeringServer({ url, model, keyEnv, body: more, answers }: JudgeFlags): ChatServer | undefined {
  if (url === undefined || model === undefined) {
    if (answers !== undefined && url === undefined) return undefined;
    throw new Error("Name the server that answers with --url and --model, or a file of answers with --answers.");
  }
  if (answers !== undefined)
    throw new Error("Answers come from a file (--answers) or from a server (--url): give one of them.");
  return { url, model, key: keyOf(keyEnv), body: more };
}

/** Runs an evaluation in its directory, until it is done or the user ends it, and prints the result. */
async function judged(flags: JudgeFlags, work: (run: JudgeRun) => Promise<object>): Promise<void> {
  using interrupted = new Interruption("Interrupted. What was answered is kept: the same command goes on from there.");
  const isTerminal = process.stderr.isTTY === true;
  const write = (line: string) => console.error(line);
  using run = await JudgeRun.open({
    directory: flags.outDir,
    judge: {
      url: flags.judgeUrl,
      model: flags.judgeModel,
      key: keyOf(flags.judgeKeyEnv),
      body: flags.judgeBody,
    },
    answering: answeringServer(flags),
    concurrency: flags.concurrency,
    signal: interrupted.signal,
    patience: { ...PATIENCE, ...CHAT_PATIENCE },
    onProgress: (noun) => countProgress(noun, { isTerminal, write, now: () => performance.now() }),
  });
  printResult(await work(run), flags.json);
}

type MtBenchFlags = JudgeFlags & { questions: string; prompts: string; references: string };
type VicunaFlags = JudgeFlags & { questions: string; prompts: string; reference: string };
type AlpacaEvalFlags = JudgeFlags & { baseline: string; prompt: string; gamed?: string };

/** Adds the benchmarks of models that answer, judged by another model. */
export function addJudgeCommands(benchmark: Command): void {
  withJudgeOptions(benchmark.command("mt-bench"))
    .description("MT-Bench: two turns of 80 questions, each rated by a judge")
    .requiredOption("--questions <file>", "FastChat's mt_bench/question.jsonl")
    .requiredOption("--prompts <file>", "FastChat's judge_prompts.jsonl")
    .requiredOption("--references <file>", "FastChat's mt_bench/reference_answer/gpt-4.jsonl")
    .action((flags: MtBenchFlags) => judged(flags, (run) => runMtBench(run, flags)));
  withJudgeOptions(benchmark.command("vicuna"))
    .description("Vicuna's 80 questions: a judge scores the model beside a reference, in both orders")
    .requiredOption("--questions <file>", "FastChat's vicuna_bench/question.jsonl")
    .requiredOption("--prompts <file>", "FastChat's eval/table/prompt.jsonl")
    .requiredOption("--reference <file>", "the other model's answers, in FastChat's model_answer format")
    .action((flags: VicunaFlags) => judged(flags, (run) => runVicuna(run, flags)));
  withJudgeOptions(benchmark.command("alpaca-eval"))
    .description("AlpacaEval 2: win rate over a baseline's outputs, also at equal length")
    .requiredOption("--baseline <file>", "instructions with the baseline's outputs, as AlpacaEval publishes them")
    .requiredOption("--prompt <file>", "AlpacaEval's alpaca_eval_clf.txt")
    .option("--gamed <file>", "AlpacaEval's df_gamed.csv, to control for length")
    .action((flags: AlpacaEvalFlags) => judged(flags, (run) => runAlpacaEval(run, flags)));
}
