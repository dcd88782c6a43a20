import type { MeasuredScale } from "../../../schema/attributes.ts";
import { type Measures, measureText } from "./measures.ts";
import type { LabelLine } from "./plan.ts";
import { questionKey, type SteeredAnswer } from "./steered-answer.ts";

/** What was measured of all answers under one label line: by prompt, of each sample. */
export type Observed = ReadonlyMap<string, readonly Measures[]>;

/** All answers of an evaluation, measured, by their label lines. */
export class Observations {
  readonly #lines = new Map<string, Map<string, Measures[]>>();

  /**
   * @param scores what models said of answers, by the question's key
   */
  constructor(answers: readonly SteeredAnswer[], scale: MeasuredScale, scores: ReadonlyMap<string, Measures>) {
    for (const answer of answers) {
      const line = this.#line(answer);
      const measures = { ...measureText(answer.text, scale), ...scores.get(questionKey(answer)) };
      line.set(answer.prompt, [...(line.get(answer.prompt) ?? []), measures]);
    }
  }

  of(line: LabelLine): Observed {
    return this.#lines.get(lineKey(line)) ?? new Map();
  }

  #line(line: LabelLine): Map<string, Measures[]> {
    const key = lineKey(line);
    const known = this.#lines.get(key) ?? new Map();
    this.#lines.set(key, known);
    return known;
  }
}

const lineKey = (line: LabelLine) => questionKey({ ...line, prompt: "", sample: 0 });
