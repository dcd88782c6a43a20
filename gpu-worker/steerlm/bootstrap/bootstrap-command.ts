import type { Command } from "commander";
import { pullModel } from "../../model/pull.ts";
import { scorerOf } from "../apm/scorer-options.ts";
import { JsonLinesFile } from "../datasets/json-lines-file.ts";
import { counted } from "../datasets/reading.ts";
import { Answerer } from "../evaluate/answerer.ts";
import { readJsonl } from "../evaluate/jsonl-log.ts";
import { countProgress } from "../evaluate/progress.ts";
import { Interruption } from "../interruption.ts";
import { asAsked } from "./as-asked.ts";
import { placeKey, readSchema, replySchema } from "./asked-reply.ts";
import { BootstrapDirectory } from "./bootstrap-directory.ts";
import { type BootstrapFlags, bootstrapOptions } from "./bootstrap-options.ts";
import { planBootstrap } from "./bootstrap-plan.ts";
import { bootstrapped } from "./bootstrapped.ts";
import { generateReplies } from "./generate-replies.ts";
import { type KeptReply, keptReplies } from "./kept-replies.ts";
import { labelReplies } from "./label-replies.ts";
import { Obedience } from "./obedience.ts";
import { methodOf } from "./question-room.ts";

const say = (text: string) => console.error(text);

const progress = (noun: string) =>
  countProgress(noun, { isTerminal: process.stderr.isTTY, write: say, now: () => performance.now() });

async function bootstrapFiles(files: string[], flags: BootstrapFlags, command: Command): Promise<void> {
  using interruption = new Interruption("Interrupted. Go on with the same command.");
  const { signal } = interruption;
  const model = await pullModel({ path: flags.model, signal, onNotice: say });
  const { asked, profile, reading, identity } = await planBootstrap(files, flags, { model, command, signal, say });
  using directory = await BootstrapDirectory.open(flags.out, identity);
  const { adapter, replies, seed, rows, temperature, topK, topP, maxTokens, cores: threads } = flags;
  const method = methodOf(profile);
  await generateReplies({
    ...{ asked, replies, seed, rows, method, path: directory.replies, signal },
    open: () => {
      const sampling = { temperature, top_k: topK, top_p: topP };
      return Answerer.open({ model, adapter, profile, sampling, maxTokens, rows, threads });
    },
    onProgress: progress("replies generated"),
  });
  const generated = await readJsonl(directory.replies, replySchema);
  const { kept, empty, repeated, echoes } = keptReplies(asked, { replies, generated, method });
  const { apm } = flags;
  await labelReplies({
    ...{ kept, reading, path: directory.labels, signal },
    open: apm === undefined ? null : () => scorerOf({ ...flags, apm, model }, signal, say),
    onProgress: progress("replies labelled"),
  });
  const cut = kept.filter(({ reply }) => reply.finish === "length").length;
  const recited = method === "words" ? `, ${echoes} that recite what they were told` : "";
  say(`Left out: ${empty} empty, ${repeated} said before${recited}. Cut at ${maxTokens} tokens: ${cut}.`);
  const { table, rows: written } = await writeBootstrapped(kept, directory, flags);
  const contradicted = kept.length - written;
  if (contradicted > 0) say(`Left out: ${contradicted} read to be the opposite of what they were asked to be.`);
  say(`Wrote ${counted(written, "row")} to ${flags.out}.`);
  console.log(table);
}

/** Writes the file and removes the directory. @returns how often replies are what was asked for, and the rows of the file */
async function writeBootstrapped(
  kept: readonly KeptReply[],
  directory: BootstrapDirectory,
  { out, asAsked: names }: Pick<BootstrapFlags, "out" | "asAsked">,
) {
  const labels = new Map((await readJsonl(directory.labels, readSchema)).map((read) => [placeKey(read), read.labels]));
  const obedience = new Obedience();
  const replies = kept.map((one) => ({ one, read: labels.get(placeKey(one.reply)) ?? {} }));
  for (const { one, read } of replies) obedience.add(one.levels, read);
  const file = await JsonLinesFile.create(out);
  let rows = 0;
  try {
    for (const same of Map.groupBy(replies, ({ one }) => one.question.id).values()) {
      for (const reply of asAsked(same, names)) {
        await file.write(bootstrapped(reply));
        rows++;
      }
    }
    await file.commit();
  } finally {
    await file.discard();
  }
  await directory.remove();
  return { table: obedience.table, rows };
}

/** `attune bootstrap …`: a model's own replies, labelled, for a second round of training (SteerLM, step 4). */
export const bootstrapCommand = (): Command => bootstrapOptions().action(bootstrapFiles);
