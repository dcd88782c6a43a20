import { Argument, Command, Option } from "commander";
import { JsonLinesFile } from "../datasets/json-lines-file.ts";
import { BadRow } from "../datasets/reader.ts";
import { counted } from "../datasets/reading.ts";
import { readRows } from "../datasets/rows.ts";
import { Interruption } from "../interruption.ts";
import { addJudgeCommands } from "./judge-commands.ts";
import { conversationsOf } from "./prepare.ts";
import { printResult } from "./print-result.ts";
import { scoreRewardBench } from "./reward-bench.ts";
import { scoreRewardBench2 } from "./reward-bench-2.ts";
import { scoreRmBench } from "./rm-bench.ts";
import { NAMED_WEIGHTS, parseWeights } from "./scalarisation.ts";
import { readScores } from "./score-rows.ts";
import { REWARD_BENCHMARKS, type RewardBenchmark, type ScoredItem } from "./scored-item.ts";

const SCORERS: Record<RewardBenchmark, { title: string; score: (items: readonly ScoredItem[]) => object }> = {
  rewardbench: { title: "RewardBench", score: scoreRewardBench },
  rewardbench2: { title: "RewardBench 2", score: scoreRewardBench2 },
  "rm-bench": { title: "RM-Bench", score: scoreRmBench },
};

/** What both of OASST's judgements of goodness say; other models were trained on other attributes. */
const DEFAULT_WEIGHTS = "quality=1,helpfulness=1";

type PrepareFlags = { out: string; subset?: string };

async function prepare(benchmark: RewardBenchmark, files: string[], { out, subset }: PrepareFlags): Promise<void> {
  using interrupted = new Interruption("Interrupted. Nothing was written.");
  const output = await JsonLinesFile.create(out);
  try {
    for (const file of files) {
      for await (const row of readRows(file, () => {})) {
        interrupted.signal.throwIfAborted();
        try {
          if ("reason" in row) throw new BadRow(row.reason);
          const names = { item: `${file}:${row.line}`, subset };
          for (const conversation of conversationsOf(benchmark, row.value, names)) await output.write(conversation);
        } catch (error) {
          throw error instanceof BadRow ? new Error(`${file}:${row.line}: ${error.message}`) : error;
        }
      }
    }
    if (output.lines === 0) throw new Error(`${files.join(", ")}: there are no rows.`);
    await output.commit();
    console.error(
      `Wrote ${counted(output.lines, "answer")} to ${out}. Score them: attune apm score ${out} --apm DIR --threads replies --out FILE`,
    );
  } finally {
    await output.discard();
  }
}

type ScoreFlags = { weights: string; json: boolean };

function addScorer(command: Command, benchmark: RewardBenchmark): void {
  const { title, score } = SCORERS[benchmark];
  command
    .command(benchmark)
    .description(`${title} of a model that judges answers, from their scores`)
    .argument(
      "<scores...>",
      "scores of the answers that `prepare` wrote: JSON lines of id and score or predicted attributes",
    )
    .addOption(
      new Option(
        "--weights <weights>",
        `how much each attribute counts, or ${[...NAMED_WEIGHTS.keys()].join(", ")}`,
      ).default(DEFAULT_WEIGHTS),
    )
    .option("--json", "print JSON", false)
    .action(async (files: string[], { weights, json }: ScoreFlags) => {
      printResult(score(await readScores(files, benchmark, parseWeights(weights))), json);
    });
}

/** `attune benchmark …`: public benchmarks of models that judge answers, and of models that answer. */
export function benchmarkCommand(): Command {
  const benchmark = new Command("benchmark").description(
    "public benchmarks of models that judge, and of models that answer",
  );
  benchmark
    .command("prepare")
    .description("write the answers of a benchmark's data set as conversations to score")
    .addArgument(new Argument("<benchmark>", "whose data set it is").choices(REWARD_BENCHMARKS))
    .argument("<files...>", "the data set as it is published: JSON lines, JSON or parquet")
    .option("--subset <name>", "subset or domain of all rows, where they do not say it")
    .requiredOption("--out <file>", "file to write")
    .action(prepare);
  for (const name of REWARD_BENCHMARKS) addScorer(benchmark, name);
  addJudgeCommands(benchmark);
  return benchmark;
}
