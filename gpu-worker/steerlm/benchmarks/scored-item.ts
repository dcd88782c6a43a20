import { z } from "zod";

/** Benchmarks of models that judge answers. */
export const REWARD_BENCHMARKS = ["rewardbench", "rewardbench2", "rm-bench"] as const;
export type RewardBenchmark = (typeof REWARD_BENCHMARKS)[number];

/** One task of a benchmark with the score of each of its answers: those that should win, and those that should lose. */
export type ScoredItem = {
  /** RewardBench's subset, RM-Bench's domain. */
  subset: string;
  item: string;
  chosen: number[];
  rejected: number[];
};

/** Where an answer stands: `counts` are how many chosen and rejected answers its item has, so that a missing one is found. */
export type AnswerPlace = {
  benchmark: RewardBenchmark;
  subset: string;
  item: string;
  side: "chosen" | "rejected";
  index: number;
  counts: { chosen: number; rejected: number };
};

const count = z.int().min(1).max(10_000);
const placeSchema = z.tuple([
  z.enum(REWARD_BENCHMARKS),
  z.string(),
  z.string(),
  z.enum(["chosen", "rejected"]),
  z.int().min(0),
  z.tuple([count, count]),
]);

/** An answer's place as the id of a conversation, which goes through scoring unchanged. */
export function placeId({ benchmark, subset, item, side, index, counts }: AnswerPlace): string {
  return JSON.stringify([benchmark, subset, item, side, index, [counts.chosen, counts.rejected]]);
}

/** The place that an id says, `null` where it says none. */
export function placeOf(id: string): AnswerPlace | null {
  const parsed = placeSchema.safeParse(jsonOf(id));
  if (!parsed.success) return null;
  const [benchmark, subset, item, side, index, [chosen, rejected]] = parsed.data;
  return index < (side === "chosen" ? chosen : rejected)
    ? { benchmark, subset, item, side, index, counts: { chosen, rejected } }
    : null;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Puts scores of answers together to items. */
export class ItemCollector {
  readonly #items = new Map<string, { place: AnswerPlace; chosen: number[]; rejected: number[] }>();

  /** @throws Error where the answer has a score already */
  add(place: AnswerPlace, score: number): void {
    const key = JSON.stringify([place.subset, place.item]);
    const item = this.#items.get(key) ?? { place, chosen: [], rejected: [] };
    this.#items.set(key, item);
    if (item[place.side][place.index] !== undefined) throw new Error(`${placeId(place)} is scored twice.`);
    item[place.side][place.index] = score;
  }

  /** @throws Error that names items of which an answer has no score */
  items(): ScoredItem[] {
    const broken: string[] = [];
    const items = [...this.#items.values()].map(({ place: { subset, item, counts }, chosen, rejected }) => {
      const isWhole =
        chosen.filter(() => true).length === counts.chosen && rejected.filter(() => true).length === counts.rejected;
      if (!isWhole) broken.push(`${subset} ${item}`);
      return { subset, item, chosen, rejected };
    });
    if (broken.length === 0) return items;
    const named = broken.slice(0, 5).join("; ");
    throw new Error(
      `${broken.length} of ${items.length} items lack the score of an answer: ${named}${broken.length > 5 ? "; …" : ""}. ` +
        "Score all answers that `attune benchmark prepare` wrote.",
    );
  }
}
