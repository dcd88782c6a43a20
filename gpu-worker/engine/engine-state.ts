import type { GenerationRequest } from "./generation.ts";

/** A request that waits for a row. */
export type QueuedState = {
  id: string;
  priority: number;
  prompt_tokens: number;
  waited_ms: number;
  /** `null`: it has none. */
  deadline_in_ms: number | null;
};

/** A request that is being computed. What is only known on another machine is `null`. */
export type RunningState = {
  id: string;
  phase: "prefill" | "decode";
  prompt_tokens: number;
  /** Of prompt and answer, tokens whose keys and values are held. */
  computed_tokens: number | null;
  cached_tokens: number;
  completion_tokens: number;
  rows: number | null;
  /** Since it was submitted. */
  age_ms: number;
  deadline_in_ms: number | null;
};

/** Keys and values of running requests. */
type KvPoolState = { bytes: number; used_bytes: number; cap_bytes: number; slots: number };

/** Keys and values of earlier requests. `hit_rate`: the share of prompt tokens that need not be computed; `null` before the first. */
type PrefixCacheState = { bytes: number; cap_bytes: number; hit_rate: number | null };

type StepState = { age_ms: number; seconds: number; decode_rows: number; prefill_tokens: number };

/** What an engine is doing, as operators read it. Counts, ages and ids only: never a text or a token of a request. */
export type EngineState = {
  ready: boolean;
  /** What computes, by its driver's name. `null` where the engine is on another machine. */
  device: string | null;
  /** Since the last sign of progress while there is work; 0 when there is none. */
  silence_seconds: number;
  queue: QueuedState[];
  running: RunningState[];
  /** `null` where the engine is on another machine, as below. */
  kv_pool: KvPoolState | null;
  prefix_cache: PrefixCacheState | null;
  /** As the engine last reported it, `age_ms` ago; what it says of running requests and memory is of then. `null` before the first step. */
  last_step: StepState | null;
};

/** `submitted` and `now` in the clock's milliseconds. */
export function queuedState(request: GenerationRequest, submitted: number, now: number): QueuedState {
  const { id, priority = 0, prompt, deadline } = request;
  const waited_ms = Math.round(now - submitted);
  return { id, priority, prompt_tokens: prompt.length, waited_ms, deadline_in_ms: until(deadline, now) };
}

/**
 * What does not depend on how far it has come. `submitted` and `now` in the clock's milliseconds.
 */
export function runningState({ id, prompt, deadline }: GenerationRequest, submitted: number, now: number) {
  const age_ms = Math.round(now - submitted);
  return { id, prompt_tokens: prompt.length, age_ms, deadline_in_ms: until(deadline, now) };
}

const until = (deadline: number | undefined, now: number) =>
  deadline === undefined ? null : Math.round(deadline - now);
