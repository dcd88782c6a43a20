/** Sampling temperatures by category (`temperature_config` in fastchat/llm_judge/common.py); any other category has 0.7. */
const TEMPERATURES: ReadonlyMap<string, number> = new Map([
  ["writing", 0.7],
  ["roleplay", 0.7],
  ["extraction", 0],
  ["math", 0],
  ["coding", 0],
  ["reasoning", 0],
  ["stem", 0.1],
  ["humanities", 0.1],
]);
const OTHER_TEMPERATURE = 0.7;

export const temperatureOf = (category: string): number => TEMPERATURES.get(category) ?? OTHER_TEMPERATURE;

/** Categories that are judged beside a reference answer. */
const WITH_REFERENCE = ["math", "reasoning", "coding"];

export const needsReference = (category: string): boolean => WITH_REFERENCE.includes(category);

/** The name of the prompt that judges a turn. */
export function judgeNameOf(category: string, turn: 1 | 2): string {
  return `single${needsReference(category) ? "-math" : ""}-v1${turn === 2 ? "-multi-turn" : ""}`;
}

/** A judge's rating of one turn, 1–10; `null` where it gave none. */
export type Judgment = { question_id: number; category: string; turn: 1 | 2; score: number | null };

export type MtBenchResult = {
  judgments: number;
  /** Judgments without a rating, which count nowhere. */
  unrated: number;
  /** Mean ratings; `null` where nothing was rated. */
  first_turn: number | null;
  second_turn: number | null;
  /** Of all judgments, not of the two turns' means. */
  average: number | null;
  categories: Record<string, number | null>;
};

/** MT-Bench's scores by single-answer grading (fastchat/llm_judge/show_result.py). */
export function scoreMtBench(judgments: readonly Judgment[]): MtBenchResult {
  const mean = (of: readonly Judgment[]): number | null => {
    const scores = of.flatMap(({ score }) => score ?? []);
    return scores.length === 0 ? null : scores.reduce((sum, score) => sum + score, 0) / scores.length;
  };
  const byCategory = Map.groupBy(judgments, ({ category }) => category);
  return {
    judgments: judgments.length,
    unrated: judgments.filter(({ score }) => score === null).length,
    first_turn: mean(judgments.filter(({ turn }) => turn === 1)),
    second_turn: mean(judgments.filter(({ turn }) => turn === 2)),
    average: mean(judgments),
    categories: Object.fromEntries([...byCategory].map(([category, of]) => [category, mean(of)])),
  };
}
