import { counted, type Reading, readAll, tallyText } from "../datasets/reading.ts";
import { type LabelledAnswer, LabelledAnswers } from "./judged-answers.ts";

/** All answers of the files that have labels. Says what was read and what was left out. @throws Error where a file cannot be read */
export async function readLabelled(reading: Reading): Promise<LabelledAnswer[]> {
  const labelled = new LabelledAnswers();
  const tally = await readAll(reading, (conversation) => labelled.add(conversation));
  reading.onNotice(`Read ${tallyText(tally)}: ${counted(labelled.answers.length, "labelled answer")}.`);
  return labelled.answers;
}
