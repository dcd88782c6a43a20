import { usageOf } from "../../schema/api/chat.ts";
import type { GenerationReport, GenerationState } from "../../schema/wire/generate.ts";

/** Generations remembered, so that the edge can ask for the usage of one it cancelled. */
const REMEMBERED = 10_000;

type Entry = {
  state: GenerationState;
  promptTokens: number;
  completionTokens: number;
  ended: PromiseWithResolvers<void>;
};

/** What became of each recent generation, and exactly how much it used. */
export class GenerationLog {
  readonly #entries = new Map<string, Entry>();

  begin(id: string, promptTokens: number): void {
    this.#entries.set(id, { state: "queued", promptTokens, completionTokens: 0, ended: Promise.withResolvers() });
    for (const [oldest, entry] of this.#entries) {
      if (this.#entries.size <= REMEMBERED) break;
      if (entry.state !== "queued" && entry.state !== "running") this.#entries.delete(oldest);
    }
  }

  run(id: string): void {
    const entry = this.#entries.get(id);
    if (entry !== undefined) entry.state = "running";
  }

  end(id: string, state: "completed" | "cancelled" | "failed", completionTokens: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    entry.state = state;
    entry.completionTokens = completionTokens;
    entry.ended.resolve();
  }

  /** Waits for a generation to end; `null` where none is known by that id. */
  async report(id: string): Promise<GenerationReport | null> {
    const entry = this.#entries.get(id);
    if (entry === undefined) return null;
    await entry.ended.promise;
    return { id, state: entry.state, usage: usageOf(entry.promptTokens, entry.completionTokens) };
  }
}
