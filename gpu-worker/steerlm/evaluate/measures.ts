import { ATTRIBUTES, type Attribute, type MeasuredScale } from "../../../schema/attributes.ts";
import { levelBetween } from "../../model/measured-levels.ts";
import { colemanLiauGrade, countText, fleschKincaidGrade } from "../../model/text-statistics.ts";
import { profanityShare } from "./profanity.ts";
import { distinctShare } from "./repetition.ts";
import { wordRarity } from "./word-rarity.ts";

/** What a rule counts in a text. */
const TEXT_MEASURES = [
  "words",
  "coleman_liau",
  "flesch_kincaid",
  "rarity",
  "profanity",
  "repeated_4grams",
  "distinct_2",
] as const;

/** `log_perplexity`: mean negative log-likelihood of the answer's tokens under the plain model, in nats. */
export type Measure =
  | (typeof TEXT_MEASURES)[number]
  | "log_perplexity"
  | `level.${"verbosity" | "complexity"}`
  | `${Reader}.${Attribute}`;

/** An attribute prediction model: the one that labelled the training data, and one that had no part in it. */
const READERS = ["apm", "judge"] as const;
export type Reader = (typeof READERS)[number];

/** What was measured of an answer. What is not defined, such as the grade of an empty text, is left out. */
export type Measures = Partial<Record<Measure, number>>;

/** All measures, in the order in which reports list them. */
export const MEASURES: readonly Measure[] = [
  ...TEXT_MEASURES,
  "log_perplexity",
  "level.verbosity",
  "level.complexity",
  ...READERS.flatMap((reader) => ATTRIBUTES.map((attribute): Measure => `${reader}.${attribute}`)),
];

/** What rules say of a text. `scale`: where the levels of measured attributes end. */
export function measureText(text: string, scale: MeasuredScale): Measures {
  const counts = countText(text);
  const grade = colemanLiauGrade(counts);
  const distinct4 = distinctShare(text, 4);
  return defined({
    words: counts.words,
    coleman_liau: grade,
    flesch_kincaid: fleschKincaidGrade(counts),
    rarity: wordRarity(text),
    profanity: profanityShare(text),
    // In texts of fewer than four words nothing is repeated.
    repeated_4grams: distinct4 === null ? 0 : 1 - distinct4,
    distinct_2: distinctShare(text, 2),
    "level.verbosity": levelBetween(counts.words, scale.verbosity),
    "level.complexity": grade === undefined ? undefined : levelBetween(grade, scale.complexity),
  });
}

function defined(measures: Partial<Record<Measure, number | null | undefined>>): Measures {
  const kept: Measures = {};
  for (const measure of MEASURES) {
    const value = measures[measure];
    if (value !== null && value !== undefined) kept[measure] = value;
  }
  return kept;
}

/** What decides how much of an attribute an answer has: a rule where there is one, else the model that had no part in the training. */
export function decidingMeasure(attribute: Attribute, available: ReadonlySet<Measure>): Measure | null {
  if (attribute === "verbosity") return "words";
  if (attribute === "complexity") return "coleman_liau";
  return levelMeasure(attribute, available);
}

/** The same in levels, 0–4. */
export function levelMeasure(attribute: Attribute, available: ReadonlySet<Measure>): Measure | null {
  if (attribute === "verbosity" || attribute === "complexity") return `level.${attribute}`;
  const measures: Measure[] = [`judge.${attribute}`, `apm.${attribute}`];
  return measures.find((measure) => available.has(measure)) ?? null;
}

/** What a level of a deciding measure is counted in. */
export const unitOf = (attribute: Attribute): "words" | "grade" | "level" =>
  attribute === "verbosity" ? "words" : attribute === "complexity" ? "grade" : "level";
