import { monotonicNow } from "../engine/clock.ts";
import type { GenerationRequest } from "../engine/generation.ts";
import type { Ending, SequenceListener } from "../engine/inference-engine.ts";
import type { FinishedReason, ModelMetrics } from "./metrics.ts";

/**
 * Measures one answer from now on. How long its parts took is observed, as in vLLM, when it is finished, and only then.
 *
 * @param now milliseconds of the clock that the engine tells the start by
 */
export function requestClock(metrics: ModelMetrics, request: GenerationRequest, now = monotonicNow): SequenceListener {
  const arrived = now();
  let started = arrived;
  let firstToken: number | null = null;
  let lastToken = arrived;
  let tokens = 0;
  return {
    onStarted(cachedTokens, at) {
      started = at;
      const { length } = request.prompt;
      metrics.promptTokens.inc(length);
      metrics.cachedTokens.inc(cachedTokens);
      metrics.prefixQueries.inc(length);
      metrics.prefixHits.inc(cachedTokens);
      if (request.guidance !== undefined) metrics.guidanceRows.inc();
      if (request.conversationTokens === undefined) return;
      metrics.labelLines.inc();
      if (cachedTokens >= request.conversationTokens) metrics.labelLineHits.inc();
    },
    /** @param completionTokens so far; a remote engine may report several at once, and the end of an answer none */
    onText(_, completionTokens) {
      if (completionTokens === tokens) return;
      const time = now();
      metrics.generationTokens.inc(completionTokens - tokens);
      if (firstToken === null) metrics.timeToFirstToken.observe(seconds(arrived, time));
      else metrics.interTokenLatency.observe(seconds(lastToken, time));
      firstToken ??= time;
      lastToken = time;
      tokens = completionTokens;
    },
    onEnd(ending) {
      metrics.ended(finishedReason(ending));
      if (ending.kind === "failed" && ending.error?.code === "deadline_exceeded") metrics.expired("waiting");
      if (ending.kind !== "finished") return;
      if (ending.timeUp) metrics.expired("generating");
      metrics.requestLatency.observe(seconds(arrived, now()));
      metrics.queueTime.observe(seconds(arrived, started));
      metrics.requestPrompt.observe(request.prompt.length);
      metrics.requestGeneration.observe(tokens);
      metrics.maxTokens.observe(request.maxTokens);
      if (firstToken === null) return;
      metrics.prefillTime.observe(seconds(started, firstToken));
      metrics.decodeTime.observe(seconds(firstToken, lastToken));
      metrics.inferenceTime.observe(seconds(started, lastToken));
      if (tokens > 1) metrics.timePerToken.observe(seconds(firstToken, lastToken) / (tokens - 1));
    },
  };
}

const seconds = (from: number, to: number): number => (to - from) / 1000;

function finishedReason(ending: Ending): FinishedReason {
  if (ending.kind === "finished") return ending.reason;
  return ending.kind === "cancelled" ? "abort" : "error";
}
