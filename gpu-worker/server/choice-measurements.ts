import type { MeasuredAttributes } from "../../schema/api/attributes.ts";
import type { Verdict } from "../../schema/api/moderation.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import type { GenerateRequest } from "../../schema/wire/generate.ts";
import { moderate } from "./moderate.ts";

/** What an answer says was measured of it, and of its moderation, whichever was asked for; where that could not be, `null` and why. */
export type Measurement = {
  measured?: MeasuredAttributes | null;
  moderation?: Verdict | null;
  note?: string;
};

/** What is asked for of every answer. */
type Wanted = Pick<GenerateRequest, "measure" | "moderation">;

/** What an answer's text is measured by: what was read off it, and off each part of it that was not read then. */
type Measure = (answer: string) => Promise<MeasuredAttributes[]>;

/** Has the choices of one answer measured, each as soon as it is finished. */
export class ChoiceMeasurements {
  readonly #texts: string[];
  readonly #measuring: Promise<Measurement>[] = [];
  readonly #wanted: Wanted;
  readonly #measure: Measure;
  readonly #onFailure: (error: unknown) => void;

  /**
   * @param choices how many there are
   * @param onFailure told what kept one from being measured
   */
  constructor(choices: number, wanted: Wanted, measure: Measure, onFailure: (error: unknown) => void) {
    this.#texts = Array.from({ length: choices }, () => "");
    this.#wanted = wanted;
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
      (parts) => measurementOf(parts, this.#wanted),
      (error: unknown) => {
        this.#onFailure(error);
        return unmeasured(error, this.#wanted);
      },
    );
  }

  /** What was measured of each, once all of them are finished. Never rejects: an answer does not fail because of this. */
  all(): Promise<Measurement[]> {
    return Promise.all(this.#measuring);
  }
}

function measurementOf(parts: readonly MeasuredAttributes[], { measure, moderation }: Wanted): Measurement {
  const ofAnswer = measure === true ? { measured: parts[0] ?? {} } : {};
  if (moderation === undefined) return ofAnswer;
  const verdict = moderate(parts, moderation);
  return { ...ofAnswer, moderation: verdict, ...(verdict === null && { note: NOT_MODERATED }) };
}

const NOT_MODERATED =
  "The answer was not moderated: the server has no attribute prediction model that reads toxicity. Ask its operator.";

function unmeasured(error: unknown, { measure, moderation }: Wanted): Measurement {
  const what = measure === true ? "measured" : "moderated";
  return {
    ...(measure === true && { measured: null }),
    ...(moderation !== undefined && { moderation: null }),
    note: `The answer is whole, but could not be ${what}. ${reasonOf(error)}`,
  };
}

/** What a caller may know of it. */
function reasonOf(error: unknown): string {
  if (AttuneError.isInstance(error)) return error.message;
  if (error instanceof DOMException && error.name === "TimeoutError") return "There was no time left for that.";
  return "Have it scored at POST /v1/attributes/score.";
}
