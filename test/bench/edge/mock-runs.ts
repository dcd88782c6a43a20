import { monotonicMs, type Run, type Runs, type Script, scriptSchema } from "./script.ts";

/** A run that the mock upstream answers. */
export type MockRun = { seen: Run; script: Script; stop: () => void };

/** What the mock upstream was asked, and wrote. */
export class MockRuns {
  /** Those that have a name and were not told of yet. */
  #untold: Run[] = [];
  /** By generation; those with a name also once they are over. */
  readonly #known = new Map<string, MockRun>();
  #running = 0;
  #generations = 0;
  #tokens = 0;

  /** @param generation the id in the worker protocol; empty in OpenAI's */
  begin(generation: string, messages: readonly { content: string }[]): MockRun {
    const script = scriptSchema.parse(JSON.parse(messages.at(-1)?.content ?? ""));
    const characters = messages.reduce((sum, { content }) => sum + content.length, 0);
    const promptTokens = Math.ceil(characters / 4);
    const seen: Run = {
      run: script.run,
      generation,
      promptTokens,
      completionTokens: 0,
      state: "running",
      endedAt: null,
    };
    const run: MockRun = { seen, script, stop: () => {} };
    if (script.run !== "") this.#untold.push(seen);
    if (generation === "") return run;
    this.#known.set(generation, run);
    this.#running += 1;
    this.#generations += 1;
    this.#tokens += promptTokens;
    return run;
  }

  wrote({ seen }: MockRun, deltas: number): void {
    seen.completionTokens += deltas;
    if (seen.generation !== "") this.#tokens += deltas;
  }

  end(run: MockRun, state: "completed" | "aborted"): void {
    const { seen } = run;
    if (seen.state !== "running") return;
    seen.state = state;
    seen.endedAt = monotonicMs();
    run.stop();
    if (seen.generation !== "") this.#running -= 1;
    if (seen.run === "") this.#known.delete(seen.generation);
  }

  /** Ends a run, if it still goes on; `null` where it is not known. */
  cancel(generation: string): Run | null {
    const run = this.#known.get(generation);
    if (run !== undefined) this.end(run, "aborted");
    return run?.seen ?? null;
  }

  report(): Runs {
    const over = this.#untold.filter(({ state }) => state !== "running");
    this.#untold = this.#untold.filter(({ state }) => state === "running");
    const worker = { generations: this.#generations, tokens: this.#tokens, running: this.#running };
    return { runs: over, worker };
  }
}
