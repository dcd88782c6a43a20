import { Command, Option } from "commander";
import { readingOptions, type ScorerFlags, scorerOf, withScorerOptions } from "../apm/scorer-options.ts";
import type { Conversation } from "../datasets/conversation.ts";
import { counted, readAll, tallyText } from "../datasets/reading.ts";
import { Interruption } from "../interruption.ts";
import { type ReadingFlags, readingOf, withReadingOptions } from "../reading-options.ts";
import type { Identity } from "../training/identity.ts";
import { type AnnotateOptions, annotate, annotatedTurns } from "./annotate.ts";
import { LABEL_CHOICES, type LabelChoice } from "./annotated-turn.ts";
import { AnnotationFile } from "./annotation-file.ts";

type AnnotateFlags = ReadingFlags & ScorerFlags & { out: string; labels: LabelChoice };

/** Answers that are read and written together: what an interruption loses. */
const ANSWERS_AT_ONCE = 64;

/** Milliseconds between two lines of progress where nobody watches. */
const LOG_INTERVAL = 30_000;

const say = (text: string) => console.error(text);

async function annotateFiles(files: string[], flags: AnnotateFlags, command: Command): Promise<void> {
  using interruption = new Interruption("Interrupted. Go on with the same command.");
  const { signal } = interruption;
  const scorer = await scorerOf(flags, signal, say);
  await using opened = new AsyncDisposableStack();
  opened.defer(() => scorer.release());
  const options: AnnotateOptions = {
    ...readingOptions(scorer.description, flags, command),
    labels: flags.labels,
    lastOnly: flags.threads === "replies",
    signal,
  };
  const file = opened.use(await AnnotationFile.open(flags.out, identityOf(scorer.contentHash, options)));
  if (file.resumed > 0) say(`Going on after ${counted(file.resumed, "conversation")}.`);
  const seen = new Set<string>();
  let repeated = 0;
  let waiting: Conversation[] = [];
  let answers = 0;
  const progress = annotationProgress();
  const flush = async () => {
    for (const annotated of await annotate(scorer, waiting, options)) await file.append(annotated);
    progress(answers);
    waiting = [];
  };
  const tally = await readAll(await readingOf(files, flags, signal), async (conversation) => {
    const name = `${conversation.source} ${conversation.id}`;
    if (seen.has(name)) {
      repeated++;
      return;
    }
    seen.add(name);
    if (file.hasNext(conversation)) return;
    waiting.push(conversation);
    const before = answers;
    answers += annotatedTurns(conversation, options.lastOnly).length;
    if (Math.floor(answers / ANSWERS_AT_ONCE) > Math.floor(before / ANSWERS_AT_ONCE)) await flush();
  });
  await flush();
  const written = await file.finish();
  say(`Read ${tallyText(tally)}${repeated === 0 ? "" : `; ${counted(repeated, "conversation")} came more than once`}.`);
  say(`Wrote ${counted(written, "row")} to ${file.path}.`);
}

/** All that an annotation depends on beside the conversations. */
const identityOf = (apm: string, { labels, scale, spread, lastOnly }: AnnotateOptions): Identity => ({
  apm,
  "--labels": labels,
  "--spread": spread ? "quantile" : "off",
  "--verbosity-edges": scale.verbosity.join(","),
  "--complexity-edges": scale.complexity.join(","),
  "last answers only": lastOnly,
});

function annotationProgress(): (answers: number) => void {
  const began = performance.now();
  let said = process.stderr.isTTY ? Number.NEGATIVE_INFINITY : began;
  return (answers) => {
    const now = performance.now();
    if (now - said < (process.stderr.isTTY ? 0 : LOG_INTERVAL)) return;
    said = now;
    say(`${counted(answers, "answer")} annotated, ${((answers * 1000) / (now - began)).toFixed(1)} a second`);
  };
}

/** `attune annotate …`: data sets labelled by an attribute prediction model. */
export function annotateCommand(): Command {
  return withScorerOptions(withReadingOptions(new Command("annotate")))
    .description("label the answers of data sets by an attribute prediction model, as JSON lines")
    .requiredOption("--out <file>", "file to write, packed if its name ends in .gz")
    .addOption(
      new Option("--labels <which>", "what an answer is trained on that somebody judged, too")
        .choices(LABEL_CHOICES)
        .default("predicted" satisfies LabelChoice),
    )
    .action(annotateFiles);
}
