import { join } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import type { Conversation } from "./datasets/conversation.ts";
import { Describer } from "./datasets/describe.ts";
import { descriptionText } from "./datasets/description-text.ts";
import { JsonLinesFile } from "./datasets/json-lines-file.ts";
import { toNemo } from "./datasets/nemo.ts";
import type { LeftOutReason } from "./datasets/outcome.ts";
import { counted, readAll, tallyText } from "./datasets/reading.ts";
import { DEFAULT_PARTS, type Duplicate, DuplicateFinder, type Part, partOfConversation } from "./datasets/split.ts";
import { toTrl } from "./datasets/trl.ts";
import { Interruption } from "./interruption.ts";
import {
  type DropoutFlags,
  type ReadingFlags,
  readingOf,
  withDropoutOptions,
  withReadingOptions,
} from "./reading-options.ts";

type Target = "attune" | "nemo" | "trl";

const WRITERS: Record<Target, (conversation: Conversation) => unknown> = {
  attune: (conversation) => conversation,
  nemo: toNemo,
  trl: toTrl,
};

const targetOption = () =>
  new Option("--to <format>", "what to write").choices(Object.keys(WRITERS)).default("attune" satisfies Target);

/** Other trainers need an answer; questions alone are of use to this project's own commands only. */
const lacksAnswer = ({ turns }: Conversation, to: Target) =>
  to !== "attune" && !turns.some(({ role }) => role === "assistant");

const UNANSWERED: LeftOutReason = "question without an answer";

function parts(text: string): Part[] {
  const read = text.split(",").map((part): Part => {
    const [name = "", weight = ""] = part.split("=");
    if (!/^[A-Za-z0-9_-]+$/.test(name) || !(Number(weight) > 0)) {
      throw new InvalidArgumentError(`${part} is not name=weight.`);
    }
    return { name, weight: Number(weight) };
  });
  if (new Set(read.map(({ name }) => name)).size < read.length) throw new InvalidArgumentError("Names must differ.");
  return read;
}

const NOTHING_WRITTEN = "Interrupted. Nothing was written.";

async function describeFiles(files: string[], flags: ReadingFlags & { json: boolean }): Promise<void> {
  using interruption = new Interruption(NOTHING_WRITTEN);
  const { signal } = interruption;
  const describer = new Describer();
  const tally = await readAll(await readingOf(files, flags, signal), (conversation) => describer.add(conversation));
  const { description } = describer;
  if (!flags.json) {
    console.log(descriptionText(description));
    console.error(`\nRead ${tallyText(tally)}.`);
    return;
  }
  const left_out = Object.fromEntries(tally.leftOut);
  console.log(JSON.stringify({ ...description, left_out, bad_rows: tally.badRows }, null, 2));
}

async function convertFiles(
  files: string[],
  flags: ReadingFlags & DropoutFlags & { to: Target; out: string },
): Promise<void> {
  using interruption = new Interruption(NOTHING_WRITTEN);
  const { signal } = interruption;
  const reading = await readingOf(files, flags, signal);
  const file = await JsonLinesFile.create(flags.out);
  try {
    const tally = await readAll(reading, async (conversation, leaveOut) => {
      if (lacksAnswer(conversation, flags.to)) leaveOut(UNANSWERED);
      else await file.write(WRITERS[flags.to](conversation));
    });
    await file.commit();
    console.error(`Read ${tallyText(tally)}.\nWrote ${counted(file.lines, "row")} to ${file.path}.`);
  } finally {
    await file.discard();
  }
}

type SplitFlags = ReadingFlags & { to: Target; outDir: string; parts: Part[]; seed?: string };

async function splitFiles(names: string[], { seed, ...flags }: SplitFlags): Promise<void> {
  using interruption = new Interruption(NOTHING_WRITTEN);
  const { signal } = interruption;
  const reading = await readingOf(names, flags, signal);
  const files = await Promise.all(
    flags.parts.map(({ name }) => JsonLinesFile.create(join(flags.outDir, `${name}.jsonl`))),
  );
  try {
    const duplicates = new DuplicateFinder();
    const tally = await readAll(reading, async (conversation, leaveOut) => {
      if (lacksAnswer(conversation, flags.to)) return leaveOut(UNANSWERED);
      const part = partOfConversation(conversation, flags.parts, seed);
      duplicates.add(conversation, part);
      await files[part]?.write(WRITERS[flags.to](conversation));
    });
    for (const file of files) await file.commit();
    console.error(`Read ${tallyText(tally)}.`);
    for (const file of files) console.error(`Wrote ${counted(file.lines, "row")} to ${file.path}.`);
    report(duplicates.prompts, "first turn", flags.parts);
    report(duplicates.conversations, "whole conversation", flags.parts);
  } finally {
    for (const file of files) await file.discard();
  }
}

/** Duplicates that are named; of the rest their number is enough. */
const NAMED = 5;

function report(duplicates: readonly Duplicate[], what: string, all: readonly Part[]): void {
  console.error(`In more than one part: ${counted(duplicates.length, what)}.`);
  for (const { parts: found, text } of duplicates.slice(0, NAMED)) {
    console.error(`  ${found.map((part) => all[part]?.name).join(", ")}: ${JSON.stringify(text)}`);
  }
}

/** `attune data …`: data sets described, converted and split. */
export function dataCommand(): Command {
  const data = new Command("data").description("describe, convert and split data sets of conversations");
  withReadingOptions(data.command("describe"))
    .description("count conversations, words, labels and how labels go together")
    .option("--json", "print JSON", false)
    .action(describeFiles);
  withDropoutOptions(withReadingOptions(data.command("convert")))
    .description("write data sets as one file of JSON lines, packed if its name ends in .gz")
    .addOption(targetOption())
    .requiredOption("--out <file>", "file to write")
    .action(convertFiles);
  withReadingOptions(data.command("split"))
    .description("write data sets as a file for each part; a tree is never divided")
    .addOption(targetOption())
    .requiredOption("--out-dir <directory>", "where to write train.jsonl and the others")
    .addOption(
      new Option("--parts <weights>", "names and weights of the parts")
        .default(DEFAULT_PARTS, DEFAULT_PARTS.map(({ name, weight }) => `${name}=${weight}`).join(","))
        .argParser(parts),
    )
    .option("--seed <text>", "draws other parts; without it they are those of the plain SHA-1 of a tree's id")
    .action(splitFiles);
  return data;
}
