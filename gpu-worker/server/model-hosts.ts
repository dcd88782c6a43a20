import type { ServedModel } from "../../schema/api/models.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import type { Adapters } from "./adapters.ts";
import type { ModelState } from "./debug-state.ts";
import type { ModelHost } from "./model-host.ts";

/**
 * All models that one worker serves: its weight sets, and what adapters make of one of them. The first is the main one, whose engine the
 * worker cannot do without.
 */
export class ModelHosts {
  readonly main: ModelHost;
  /** `null` where it takes none. */
  readonly adapters: Adapters | null;
  readonly #all: readonly ModelHost[];

  constructor(main: ModelHost, others: readonly ModelHost[], adapters: Adapters | null = null) {
    this.adapters = adapters;
    this.main = main;
    this.#all = [main, ...others];
  }

  get models(): ServedModel[] {
    return [...this.#all.map(({ model }) => model), ...(this.adapters?.models ?? [])];
  }

  /** The longest that any engine with work has been silent, in seconds. */
  get silence(): number {
    return Math.max(...this.#all.map(({ engine }) => engine.current?.silence ?? 0));
  }

  inspect(): ModelState[] {
    return this.#all.map(({ model, weights, engine }) => ({
      id: model.id,
      weights: { ...weights, state: engine.state },
      engine: engine.current?.inspect() ?? null,
    }));
  }

  /** @throws AttuneError `model_not_found`, naming those that there are */
  find(id: string): ModelHost {
    const host = this.#all.find(({ model }) => model.id === id) ?? this.adapters?.find(id);
    if (host !== undefined) return host;
    const served = this.models.map((model) => model.id).join(" and ");
    throw new AttuneError("model_not_found", `This worker serves ${served}, not ${id}.`, { param: "model" });
  }

  async close(): Promise<void> {
    await this.adapters?.close();
    await Promise.all(this.#all.map(({ engine }) => engine.close()));
  }
}
