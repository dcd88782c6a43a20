import { text as textOf } from "node:stream/consumers";
import type { Command } from "commander";
import type { AttributeScorer } from "../../runtime/attribute-scorer.ts";
import { annotatedTurns } from "../annotate/annotate.ts";
import { humanLabels } from "../annotate/annotated-turn.ts";
import type { Conversation } from "../datasets/conversation.ts";
import { JsonLinesFile } from "../datasets/json-lines-file.ts";
import { counted, readAll, tallyText } from "../datasets/reading.ts";
import { Interruption } from "../interruption.ts";
import { type ReadingFlags, readingOf } from "../reading-options.ts";
import { type ReadingOptions, readAnswers } from "./answer-reader.ts";
import { judgedAnswer } from "./judged-answers.ts";
import { readingOptions, type ScorerFlags, scorerOf } from "./scorer-options.ts";

export type ScoreFlags = ReadingFlags & ScorerFlags & { out?: string; question?: string; answer?: string };

type Place = { conversation: Conversation; turn: number };

/** Answers that are read together. */
const ANSWERS_AT_ONCE = 64;

const say = (text: string) => console.error(text);

/**
 * Reads attributes off one answer, named by `--answer` or on the standard input, or off all answers of files.
 *
 * @throws Error that says what to do
 */
export async function score(files: readonly string[], flags: ScoreFlags, command: Command): Promise<void> {
  using interruption = new Interruption("Interrupted. Nothing was written.");
  const { signal } = interruption;
  if (files.length > 0 && flags.answer !== undefined) throw new Error("Give files or --answer, not both.");
  const scorer = await scorerOf(flags, signal, say);
  try {
    const options = { ...readingOptions(scorer.description, flags, command), signal };
    if (files.length === 0) await scoreText(scorer, flags, options);
    else await scoreFiles(scorer, files, flags, options);
  } finally {
    scorer.release();
  }
}

type Options = ReadingOptions & { signal: AbortSignal };

async function scoreText(scorer: AttributeScorer, { question, answer }: ScoreFlags, options: Options): Promise<void> {
  const text = answer ?? (await textOf(process.stdin));
  if (text.trim() === "")
    throw new Error("There is no answer: give files, --answer <text>, or a text on the standard input.");
  const messages = question === undefined ? [] : [{ role: "user" as const, content: question }];
  const [labels] = await readAnswers(scorer, [{ messages, answer: text }], options);
  console.log(JSON.stringify(labels));
}

async function scoreFiles(scorer: AttributeScorer, files: readonly string[], flags: ScoreFlags, options: Options) {
  const { out } = flags;
  if (out === undefined) throw new Error("Name a file to write by --out.");
  const file = await JsonLinesFile.create(out);
  try {
    let waiting: Place[] = [];
    const flush = async () => {
      const answers = waiting.map(({ conversation, turn }) => judgedAnswer(conversation, turn));
      const read = await readAnswers(scorer, answers, options);
      for (const [index, { conversation, turn }] of waiting.entries()) {
        const labels = humanLabels(conversation.turns[turn] ?? { role: "assistant", text: "" });
        const judged = Object.keys(labels).length === 0 ? {} : { labels };
        await file.write({ id: conversation.id, source: conversation.source, turn, predicted: read[index], ...judged });
      }
      waiting = [];
    };
    const tally = await readAll(await readingOf(files, flags, options.signal), async (conversation) => {
      for (const turn of annotatedTurns(conversation, flags.threads === "replies"))
        waiting.push({ conversation, turn });
      if (waiting.length >= ANSWERS_AT_ONCE) await flush();
    });
    await flush();
    await file.commit();
    say(`Read ${tallyText(tally)}.\nWrote ${counted(file.lines, "row")} to ${file.path}.`);
  } finally {
    await file.discard();
  }
}
