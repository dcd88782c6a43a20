import { z } from "zod";
import { attributeSchema } from "../../../schema/attributes.ts";
import type { JudgedAnswer } from "../../model/attribute-text.ts";
import type { AttributeScorer, Predictions } from "../../runtime/attribute-scorer.ts";
import { JsonlLog } from "../evaluate/jsonl-log.ts";

const rowSchema = z.strictObject({
  /** Content of the model. */
  apm: z.string(),
  id: z.string(),
  predicted: z.partialRecord(attributeSchema, z.number()),
});
type Row = z.infer<typeof rowSchema>;

/** Answers that are read and noted together: what an interruption loses. */
const ANSWERS_AT_ONCE = 64;

export type PredictOptions = { signal: AbortSignal; onProgress: (done: number, total: number) => void };

/** Predictions in a file, so that an evaluation that was interrupted does not read the same answers again. */
export class PredictionLog implements AsyncDisposable {
  readonly #log: JsonlLog<Row>;
  readonly #known: Map<string, Predictions>;

  private constructor(log: JsonlLog<Row>) {
    this.#log = log;
    this.#known = new Map(log.rows.map(({ apm, id, predicted }) => [`${apm} ${id}`, predicted]));
  }

  /** @throws Error that names the line where the file holds something else */
  static async open(path: string): Promise<PredictionLog> {
    return new PredictionLog(await JsonlLog.open(path, rowSchema));
  }

  /** @throws as `AttributeScorer.score`, or Error where the disk does not take the predictions */
  async predict(
    scorer: AttributeScorer,
    answers: readonly (JudgedAnswer & { id: string })[],
    { signal, onProgress }: PredictOptions,
  ): Promise<Predictions[]> {
    const key = (id: string) => `${scorer.contentHash} ${id}`;
    const unknown = answers.filter(({ id }) => !this.#known.has(key(id)));
    for (let start = 0; start < unknown.length; start += ANSWERS_AT_ONCE) {
      const chunk = unknown.slice(start, start + ANSWERS_AT_ONCE);
      const read = await scorer.score(chunk, { signal });
      for (const [index, { id }] of chunk.entries()) {
        const predicted = read[index] ?? {};
        this.#known.set(key(id), predicted);
        await this.#log.append({ apm: scorer.contentHash, id, predicted });
      }
      onProgress(start + chunk.length, unknown.length);
    }
    return answers.map(({ id }) => this.#known.get(key(id)) ?? {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#log.close();
  }
}
