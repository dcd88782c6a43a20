import { basename } from "node:path";
import { counted, type Reading, readAll, tallyText } from "../datasets/reading.ts";
import { unitHash } from "../unit-hash.ts";
import { type LabelledAnswer, LabelledAnswers } from "./judged-answers.ts";
import { type AnswerPair, AnswerPairs } from "./pairwise.ts";

/** What a model is measured on: answers with labels, and pairs by the file that they are of. */
export type EvaluationData = { answers: LabelledAnswer[]; pairs: Map<string, AnswerPair[]> };

/**
 * Reads all files.
 *
 * @param limit most answers, and most pairs, of a file, tree by tree in an order that is the same every time
 * @throws Error where a file cannot be read, or none has labels or pairs
 */
export async function readEvaluationData(reading: Reading, limit: number | undefined): Promise<EvaluationData> {
  const labelled = new LabelledAnswers();
  const answers: LabelledAnswer[] = [];
  const pairs = new Map<string, AnswerPair[]>();
  for (const file of reading.files) {
    const compared = new AnswerPairs();
    const before = labelled.answers.length;
    const tally = await readAll({ ...reading, files: [file] }, (conversation) => {
      labelled.add(conversation);
      compared.add(conversation);
    });
    const own = firstTrees(labelled.answers.slice(before), limit);
    const chosen = firstTrees(compared.pairs, limit);
    reading.onNotice(
      `${file}: ${tallyText(tally)}; measured on ${counted(own.length, "labelled answer")}, ${counted(chosen.length, "pair")}.`,
    );
    answers.push(...own);
    if (chosen.length > 0) pairs.set(pairs.has(basename(file)) ? file : basename(file), chosen);
  }
  if (answers.length > 0 || pairs.size > 0) return { answers, pairs };
  throw new Error("These files have neither labels nor compared answers: there is nothing to measure a model on.");
}

function firstTrees<T extends { tree: string }>(rows: readonly T[], limit: number | undefined): T[] {
  if (limit === undefined) return [...rows];
  return rows
    .map((row) => ({ row, at: unitHash(row.tree) }))
    .sort((a, b) => a.at - b.at)
    .slice(0, limit)
    .map(({ row }) => row);
}
