import { type Command, InvalidArgumentError, Option } from "commander";
import { ATTRIBUTES, type Attribute, attributeSchema, type Edges, edgesSchema } from "../../schema/attributes.ts";
import { SMALL_MODEL_SCALE } from "../model/measured-levels.ts";
import { FORMATS } from "./datasets/formats.ts";
import { HeldOutPrompts } from "./datasets/held-out.ts";
import { readDataset } from "./datasets/read.ts";
import { DEFAULT_READ_OPTIONS } from "./datasets/reader.ts";
import type { Reading, Tally } from "./datasets/reading.ts";
import { THREADS, type Threads } from "./datasets/threads.ts";

export function share(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0)) throw new InvalidArgumentError("Must be a number from 0 on.");
  return value;
}

export function probability(text: string): number {
  const value = share(text);
  if (value > 1) throw new InvalidArgumentError("Must be from 0 to 1.");
  return value;
}

function edges(text: string): Edges {
  const parsed = edgesSchema.safeParse(text.split(",").map(Number));
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError("Must be four rising numbers, such as 15,40,80,140.");
}

/** `attribute=value,…`, where `others` stands for those that are not named. */
export const perAttribute =
  (parse: (text: string) => number) =>
  (text: string): Partial<Record<Attribute, number>> => {
    const values: Partial<Record<Attribute, number>> = {};
    for (const part of text.split(",")) {
      const [name, value = ""] = part.split("=");
      const attribute = attributeSchema.safeParse(name);
      if (attribute.success) values[attribute.data] = parse(value);
      else if (name === "others") for (const other of ATTRIBUTES) values[other] ??= parse(value);
      else throw new InvalidArgumentError(`${name} is none of ${ATTRIBUTES.join(", ")} and others.`);
    }
    return values;
  };

export type ReadingFlags = {
  format?: string;
  threads: Threads;
  lang?: string;
  keepDeleted: boolean;
  spam: number;
  rootLike: boolean;
  side?: "chosen" | "rejected";
  holdOut?: string[];
  measure?: "missing" | "all";
  verbosityEdges: Edges;
  complexityEdges: Edges;
  onBadRow: "fail" | "skip";
};

/** Adds the options of every command that reads data sets. */
export function withReadingOptions(command: Command, files = "<files...>"): Command {
  return command
    .argument(files, "JSON lines, JSON, CSV (plain or gzip) or parquet")
    .addOption(
      new Option("--format <name>", "what the rows are; found by content without it").choices(
        FORMATS.map(({ name }) => name),
      ),
    )
    .addOption(
      new Option("--threads <which>", "of a tree: all its paths, the best path, or the path to each reply")
        .choices(THREADS)
        .default(DEFAULT_READ_OPTIONS.threads),
    )
    .option("--lang <codes>", "languages to take where the source tells, such as en,de; all without it")
    .option("--keep-deleted", "take messages that were deleted", DEFAULT_READ_OPTIONS.keepDeleted)
    .addOption(
      new Option("--spam <share>", "share of spam votes from which on a message is left out, above 1 for none")
        .default(DEFAULT_READ_OPTIONS.spam)
        .argParser(share),
    )
    .option("--root-like", "of guessed pairs only the surer ones, marked root_like", DEFAULT_READ_OPTIONS.rootLike)
    .addOption(new Option("--side <which>", "of compared answers only these").choices(["chosen", "rejected"]))
    .option("--hold-out <files...>", "leave out conversations that ask a question of these files")
    .addOption(
      new Option("--measure [which]", "label verbosity and complexity by measuring, where missing or all")
        .choices(["missing", "all"])
        .preset("missing"),
    )
    .addOption(
      new Option("--verbosity-edges <words>", "most words of levels 0, 1, 2 and 3")
        .default(SMALL_MODEL_SCALE.verbosity, SMALL_MODEL_SCALE.verbosity.join(","))
        .argParser(edges),
    )
    .addOption(
      new Option("--complexity-edges <grades>", "highest Coleman-Liau grade of levels 0, 1, 2 and 3")
        .default(SMALL_MODEL_SCALE.complexity, SMALL_MODEL_SCALE.complexity.join(","))
        .argParser(edges),
    )
    .addOption(
      new Option("--on-bad-row <how>", "stop at a row that cannot be read, or report and skip it")
        .choices(["fail", "skip"])
        .default("fail"),
    );
}

export type DropoutFlags = { keep?: Partial<Record<Attribute, number>>; dropAll?: number; seed?: string };

/** Adds the options that drop labels at random. */
export function withDropoutOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--keep <shares>", "how likely labels stay, such as verbosity=0.9,others=0.5").argParser(
        perAttribute(probability),
      ),
    )
    .addOption(new Option("--drop-all <share>", "how likely an answer loses all labels").argParser(probability))
    .option("--seed <text>", "draws other labels to drop");
}

/** The reading that the flags ask for. `signal` ends it. */
export async function readingOf(
  files: readonly string[],
  flags: ReadingFlags & DropoutFlags,
  signal: AbortSignal,
): Promise<Reading> {
  const options = {
    threads: flags.threads,
    languages: flags.lang?.split(","),
    keepDeleted: flags.keepDeleted,
    spam: flags.spam,
    rootLike: flags.rootLike,
  };
  const { measure, keep: kept, dropAll, seed = "0" } = flags;
  return {
    files,
    format: FORMATS.find(({ name }) => name === flags.format),
    options,
    selection: {
      heldOut: flags.holdOut === undefined ? undefined : await heldOutOf(flags.holdOut, signal),
      side: flags.side,
      measure: measure && {
        which: measure,
        scale: { verbosity: flags.verbosityEdges, complexity: flags.complexityEdges },
        lastOnly: flags.threads === "replies",
      },
      dropout: kept === undefined && dropAll === undefined ? undefined : { keep: kept ?? {}, all: dropAll ?? 0, seed },
    },
    onBadRow: flags.onBadRow,
    signal,
    onNotice: (text) => console.error(text),
    onProgress: everySecond(),
  };
}

/** The questions of `files`. A row that cannot be read might be the question that matters. */
async function heldOutOf(files: readonly string[], signal: AbortSignal): Promise<HeldOutPrompts> {
  const heldOut = new HeldOutPrompts();
  const everything = { ...DEFAULT_READ_OPTIONS, keepDeleted: true, spam: Number.POSITIVE_INFINITY };
  for (const file of files) {
    for await (const outcome of readDataset(file, everything, { signal })) {
      if (outcome.kind === "bad row") throw new Error(`${file}:${outcome.line}: ${outcome.reason}`);
      if (outcome.kind === "conversation") heldOut.add(outcome.conversation);
    }
  }
  return heldOut;
}

/** Says on a terminal, and rarely elsewhere, how far reading has come. */
function everySecond(): Reading["onProgress"] {
  const interval = process.stderr.isTTY ? 1000 : 10_000;
  let said = performance.now();
  return (file: string, done: number, { conversations }: Tally) => {
    const now = performance.now();
    if (now - said < interval) return;
    said = now;
    console.error(`${file}: ${Math.floor(done * 100)} %, ${conversations.toLocaleString("en")} conversations so far`);
  };
}
