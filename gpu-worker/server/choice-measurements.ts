import type { MeasuredAttributes } from "../../schema/api/attributes.ts";
import { AttuneError } from "../../schema/wire/errors.ts";

/** What an answer says was measured of it; where it could not be, why. */
export type Measurement = { measured: MeasuredAttributes } | { measured: null; note: string };

/** Has the choices of one answer measured, each as soon as it is finished. */
export class ChoiceMeasurements {
  readonly #texts: string[];
  readonly #measuring: Promise<Measurement>[] = [];
  readonly #measure: (answer: string) => Promise<MeasuredAttributes>;
  readonly #onFailure: (error: unknown) => void;

  /**
   * @param choices how many there are
   * @param measure what an answer's text is measured by
   * @param onFailure told what kept one from being measured
   */
  constructor(
    choices: number,
    measure: (answer: string) => Promise<MeasuredAttributes>,
    onFailure: (error: unknown) => void,
  ) {
    this.#texts = Array.from({ length: choices }, () => "");
    this.#measure = measure;
    this.#onFailure = onFailure;
  }

  /** A piece of one choice's text. */
  text(index: number, text: string): void {
    this.#texts[index] += text;
  }

  /** A choice is complete. */
  finish(index: number): void {
    this.#measuring[index] = this.#measure(this.#texts[index] ?? "").then(
      (measured) => ({ measured }),
      (error: unknown) => {
        this.#onFailure(error);
        return { measured: null, note: `The answer is whole, but could not be measured. ${reasonOf(error)}` };
      },
    );
  }

  /** What was measured of each, once all of them are finished. Never rejects: an answer does not fail because of this. */
  all(): Promise<Measurement[]> {
    return Promise.all(this.#measuring);
  }
}

/** What a caller may know of it. */
function reasonOf(error: unknown): string {
  if (AttuneError.isInstance(error)) return error.message;
  if (error instanceof DOMException && error.name === "TimeoutError") return "There was no time left for that.";
  return "Have it scored at POST /v1/attributes/score.";
}
