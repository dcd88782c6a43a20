import { ATTRIBUTES, type Attribute, type AttributeLevels, levelsOfThese } from "../../../schema/attributes.ts";
import type { Conversation } from "../datasets/conversation.ts";
import { levelsOf } from "../rounding.ts";
import { unitHash } from "../unit-hash.ts";

/** The combinations of levels that answers have, each once: what a model can be asked for, because somebody wrote such an answer. */
export class Combinations {
  readonly #names: readonly Attribute[];
  readonly #required: AttributeLevels;
  readonly #found = new Map<string, AttributeLevels>();

  /**
   * @param names other attributes are left out
   * @param required levels that a combination must have to be taken
   */
  constructor(names: readonly Attribute[], required: AttributeLevels = {}) {
    this.#names = names;
    this.#required = required;
  }

  add({ turns }: Conversation): void {
    for (const { role, labels } of turns) {
      if (role !== "assistant" || labels === undefined) continue;
      const levels = levelsOfThese(levelsOf(labels), this.#names);
      const line = Object.entries(levels)
        .map((entry) => entry.join(":"))
        .join(",");
      if (line !== "" && this.#isTaken(levels)) this.#found.set(line, levels);
    }
  }

  #isTaken(levels: AttributeLevels): boolean {
    return ATTRIBUTES.every((name) => this.#required[name] === undefined || this.#required[name] === levels[name]);
  }

  /** By name and level, in an order that does not depend on that of the answers. */
  get byLine(): [string, AttributeLevels][] {
    return [...this.#found].sort(([a], [b]) => (a < b ? -1 : 1));
  }
}

/**
 * One of the combinations, each as likely as the others (SteerLM, Dong et al. 2023, §3.4). It depends on nothing but them, the seed and
 * the prompt.
 *
 * @param combinations one at least
 * @param prompt its id
 */
export function combinationFor(
  combinations: readonly AttributeLevels[],
  seed: string,
  prompt: string,
): AttributeLevels {
  return combinations[Math.floor(unitHash(`${seed}:combination:${prompt}`) * combinations.length)] ?? {};
}
