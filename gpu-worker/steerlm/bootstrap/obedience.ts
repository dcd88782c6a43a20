import { ATTRIBUTES, type Attribute, type AttributeLevels, LEVELS, type Level } from "../../../schema/attributes.ts";
import { type Labels, levelOf, levelsOf } from "../rounding.ts";

type Count = { replies: number; sum: number; same: number; near: number };

/** Counts how often replies are read to be what they were asked to be. */
export class Obedience {
  readonly #counts = new Map<Attribute, Map<Level, Count>>();
  #replies = 0;
  #wholly = 0;

  add(requested: AttributeLevels, labels: Labels): void {
    const read = levelsOf(labels);
    const judged = ATTRIBUTES.filter((name) => requested[name] !== undefined && read[name] !== undefined);
    this.#replies++;
    if (judged.every((name) => requested[name] === read[name])) this.#wholly++;
    for (const name of ATTRIBUTES) {
      const [level, label] = [requested[name], labels[name]];
      if (level === undefined || label === undefined) continue;
      const count = this.#countOf(name, level);
      count.replies++;
      count.sum += label;
      if (levelOf(label) === level) count.same++;
      if (Math.abs(levelOf(label) - level) <= 1) count.near++;
    }
  }

  #countOf(name: Attribute, level: Level): Count {
    const levels = this.#counts.get(name) ?? new Map<Level, Count>();
    this.#counts.set(name, levels);
    const count = levels.get(level) ?? { replies: 0, sum: 0, same: 0, near: 0 };
    levels.set(level, count);
    return count;
  }

  /** A line for each level of each attribute that was asked for: replies, mean label, shares at that level and at most one off. */
  get table(): string {
    const lines = ATTRIBUTES.flatMap((name) =>
      LEVELS.flatMap((level) => {
        const count = this.#counts.get(name)?.get(level);
        if (count === undefined) return [];
        const { replies, sum, same, near } = count;
        const mean = (sum / replies).toFixed(2);
        return [line([`${name} ${level}`, String(replies), mean, share(same, replies), share(near, replies)])];
      }),
    );
    const wholly = `All that was asked for at once: ${share(this.#wholly, this.#replies)} of ${this.#replies} replies.`;
    return [line(["asked for", "replies", "became", "as asked", "within 1"]), ...lines, wholly].join("\n");
  }
}

const share = (part: number, all: number): string => (all === 0 ? "–" : `${Math.round((100 * part) / all)} %`);

const line = ([name = "", ...cells]: string[]): string =>
  name.padEnd(16) + cells.map((one) => one.padStart(10)).join("");
