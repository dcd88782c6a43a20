import { z } from "zod";

/**
 * What the mock upstream is to answer. It travels as the text of the last message, which every gateway passes on unchanged.
 */
export const scriptSchema = z.object({
  /** Names the run, so that it can be asked after; empty where nobody will. */
  run: z.string(),
  /** Pieces of text, a token each. */
  deltas: z.int(),
  /** Milliseconds between two of them. */
  every: z.number(),
  /** Milliseconds before the first. */
  first: z.number(),
  /** A longer silence after so many of them. */
  silence: z.object({ after: z.int(), ms: z.number() }).nullable(),
});
export type Script = z.infer<typeof scriptSchema>;

/** What is asked where nothing else is said: an answer that is there at once. */
export const AT_ONCE: Script = { run: "", deltas: 16, every: 0, first: 0, silence: null };

/** The text of the delta at `index`, as the mock writes it and the client looks for it. */
export const deltaText = (index: number) => `w${index} `;

/** When the delta at `index` is due, in milliseconds after the request. */
export function dueAt({ first, every, silence }: Script, index: number): number {
  return first + every * index + (silence !== null && index >= silence.after ? silence.ms : 0);
}

/** A conversation of ordinary size that ends with the script. */
export function conversationOf(script: Script) {
  return [
    { role: "user" as const, content: `I am writing to a friend about last summer. ${FILLER}` },
    { role: "assistant" as const, content: `Gladly. Here is a way to begin it. ${FILLER}` },
    { role: "user" as const, content: JSON.stringify(script) },
  ];
}

const FILLER =
  "We walked along the coast for nine days, slept in small places near the harbour, and ate what the boats brought in. " +
  "The weather changed every hour, nobody minded, and on the last evening a fisherman told us how the lighthouse was built.";

/** What became of one run, as the mock upstream saw it. */
export const runSchema = z.object({
  run: z.string(),
  /** The generation's id in the worker protocol, else empty. */
  generation: z.string(),
  promptTokens: z.int(),
  completionTokens: z.int(),
  /** `aborted`: its connection was closed, or it was cancelled, before it had written everything. */
  state: z.enum(["running", "completed", "aborted"]),
  /** On the system's monotonic clock, in milliseconds; `null` while it runs. */
  endedAt: z.number().nullable(),
});
export type Run = z.infer<typeof runSchema>;

/** What the mock upstream answers to {@link RUNS_PATH}. */
export const runsSchema = z.object({
  /** Those that have a name, since the last time they were asked for. */
  runs: z.array(runSchema),
  /** Over all runs of the worker protocol, named or not, since the mock was started. */
  worker: z.object({ generations: z.int(), tokens: z.int(), running: z.int() }),
});
export type Runs = z.infer<typeof runsSchema>;

export const RUNS_PATH = "/runs";

/** The system's monotonic clock in milliseconds: the same in every process of this machine. */
export const monotonicMs = () => Number(process.hrtime.bigint()) / 1e6;
