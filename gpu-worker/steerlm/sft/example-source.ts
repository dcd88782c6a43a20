import type { SteeringProfile } from "../../../schema/attributes.ts";
import type { Random } from "../../engine/random.ts";
import type { ChatTemplate } from "../../model/chat-template.ts";
import type { Tokenizer } from "../../model/tokenizer.ts";
import type { Dropout } from "../attribute-dropout.ts";
import { type Example, exampleOf } from "./example.ts";
import { keptLevels, keptMessages, otherLevels } from "./label-draw.ts";
import { promptOf } from "./prompt.ts";
import type { SftRow } from "./row.ts";
import { RowSampler, type SamplerOptions } from "./row-sampler.ts";

export type SourceOptions = SamplerOptions & {
  tokenizer: Tokenizer;
  template: ChatTemplate;
  profile: SteeringProfile;
  dropout: Dropout;
  /** Whether examples have the same reply under another label line, too. */
  hasPairs: boolean;
};

/** Examples drawn from rows, at random alone. */
export class ExampleSource {
  readonly #rows: readonly SftRow[];
  readonly #options: SourceOptions;
  readonly #sampler: RowSampler;

  /** @throws Error where rows are to be balanced and none has a label in focus */
  constructor(rows: readonly SftRow[], options: SourceOptions) {
    this.#rows = rows;
    this.#options = options;
    this.#sampler = new RowSampler(
      rows.map(({ levels }) => levels),
      options,
    );
  }

  /** @throws RangeError where there are no rows */
  next(random: Random): Example {
    const { tokenizer, template, profile, dropout, hasPairs } = this.#options;
    const { row: index, focus } = this.#sampler.draw(random);
    const row = this.#rows[index];
    if (row === undefined) throw new RangeError("There are no rows to draw from");
    const levels = keptLevels(row.levels, focus, dropout, random);
    const messages = keptMessages(row.messages, dropout, random);
    const prompt = promptOf(tokenizer, template, messages, levels, profile);
    const isPaired = hasPairs && focus !== null;
    const others = isPaired ? otherLevels(levels, focus, this.#sampler.levelsOf(focus), random) : null;
    if (focus === null || others === null) return exampleOf(prompt, row, null);
    return exampleOf(prompt, row, { focus, prompt: promptOf(tokenizer, template, messages, others, profile) });
  }
}
