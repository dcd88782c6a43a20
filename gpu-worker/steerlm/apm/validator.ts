import { join } from "node:path";
import { z } from "zod";
import type { DecoderConfig } from "../../graph/decoder.ts";
import type { Lora } from "../../graph/training/lora.ts";
import { predictByLength } from "../../model/length-line.ts";
import { predictAttributes } from "../../runtime/attribute-scorer.ts";
import type { ParameterSet } from "../../runtime/parameter-set.ts";
import { ensureTrainingGraph } from "../../runtime/training-files.ts";
import { TrainingSession } from "../../runtime/training-session.ts";
import { JsonlLog } from "../evaluate/jsonl-log.ts";
import type { AttributeFacts } from "./training-facts.ts";
import type { TrainingSet } from "./training-set.ts";
import { agreementsOf, type Spread, spreadOf, type Validation, validationOf } from "./validation.ts";

const recordSchema = z.looseObject({ run: z.string(), step: z.int(), error: z.number() });
type Record = z.infer<typeof recordSchema>;

export type ValidatorOptions = {
  /** Path of the base weights. */
  model: string;
  /** Parameters that are trained, and read here as they are. */
  parameters: ParameterSet;
  config: DecoderConfig;
  lora: Lora;
  cores: number;
  set: TrainingSet;
  facts: readonly AttributeFacts[];
  /** Directory of the run, and what names the run by all that its numbers depend on. */
  out: string;
  run: string;
  /** Steps between two validations; the last step has one. */
  every: number;
  steps: number;
  /** Writes the model as it is. */
  save: (spreads: readonly Spread[], step: number, validation: Validation | null) => Promise<void>;
  say: (text: string) => void;
};

/**
 * Measures the model on held-out answers while it is trained, and keeps it when it was never better. What was measured is in
 * `validations.jsonl`: a run that is gone on with does not measure the same step again.
 */
export class Validator {
  readonly #options: ValidatorOptions;
  readonly #log: JsonlLog<Record>;
  readonly #session: TrainingSession | null;
  #best: number;
  readonly #done: Set<number>;

  private constructor(options: ValidatorOptions, log: JsonlLog<Record>, session: TrainingSession | null) {
    this.#options = options;
    this.#log = log;
    this.#session = session;
    const own = log.rows.filter(({ run }) => run === options.run);
    this.#best = Math.min(Number.POSITIVE_INFINITY, ...own.map(({ error }) => error));
    this.#done = new Set(own.map(({ step }) => step));
  }

  /** @throws Error where the model or the log cannot be read */
  static async open(options: ValidatorOptions): Promise<Validator> {
    const { model, parameters, lora, cores, set } = options;
    const log = await JsonlLog.open(join(options.out, "validations.jsonl"), recordSchema);
    if (set.validation.length === 0) return new Validator(options, log, null);
    const attributes = set.attributes.length;
    const { path } = await ensureTrainingGraph(model, { kind: "attributes", purpose: "evaluate", attributes, lora });
    return new Validator(options, log, new TrainingSession(path, parameters, "evaluate", cores));
  }

  /** @throws OnnxRuntimeError, or Error where the disk does not take the model */
  async afterStep(step: number): Promise<void> {
    const { every, steps, facts, save } = this.#options;
    const isDue = step === steps || (step % every === 0 && this.#session !== null);
    if (!isDue || this.#done.has(step)) return;
    if (this.#session === null)
      return await save(
        facts.map(() => null),
        step,
        null,
      );
    const { validation, spreads } = await this.#measure(this.#session);
    const isBest = validation.error < this.#best;
    // The log comes last: where it has a step, what is kept was chosen with it.
    if (isBest) await save(spreads, step, validation);
    await this.#log.append({ run: this.#options.run, step, ...validation });
    this.#done.add(step);
    this.#best = Math.min(this.#best, validation.error);
    this.#options.say(this.#text(step, validation, isBest));
  }

  async #measure(session: TrainingSession): Promise<{ validation: Validation; spreads: Spread[] }> {
    const { set, config } = this.#options;
    const { validation: rows, attributes } = set;
    const texts = rows.map(({ tokens }) => tokens);
    const read = await predictAttributes(session, config, attributes.length, texts);
    const predictions = rows.map(({ words }, row) =>
      this.#options.facts.map(({ byLength }, column) => predictByLength(byLength, words) + (read[row]?.[column] ?? 0)),
    );
    const agreements = agreementsOf(rows, predictions, attributes);
    return { validation: validationOf(agreements, rows.length), spreads: [...agreements.values()].map(spreadOf) };
  }

  #text(step: number, { error, attributes }: Validation, isBest: boolean): string {
    const { set, facts } = this.#options;
    const byLength = set.validation.map(({ words }) => facts.map((fact) => predictByLength(fact.byLength, words)));
    const alone = validationOf(agreementsOf(set.validation, byLength, set.attributes), set.validation.length).error;
    const each = Object.entries(attributes).map(([name, { pearson }]) => `${name} ${pearson?.toFixed(2) ?? "–"}`);
    return (
      `Held out after step ${step}: error ${error.toFixed(3)} (length alone ${alone.toFixed(3)})` +
      `${isBest ? ", the best so far" : ""}; r ${each.join(", ")}`
    );
  }

  async close(): Promise<void> {
    this.#session?.release();
    await this.#log.close();
  }
}
