import { describe, expect, it } from "vitest";
import type { GenerationRequest } from "../../../gpu-worker/engine/generation.ts";
import { completionRequest } from "../../../gpu-worker/engine/remote/completion-request.ts";
import type { ServerKind } from "../../../gpu-worker/engine/remote/remote-model.ts";
import { samplingSchema } from "../../../schema/api/chat.ts";

const SERVERS: ServerKind[] = ["vllm", "sglang", "tensorrt_llm", "llamacpp"];

function body(server: ServerKind, sampling: object = {}, more: Partial<GenerationRequest> = {}) {
  const model = { name: "llama", server, contextLength: null };
  return completionRequest(model, {
    id: "gen_1",
    prompt: [1, 2, 3],
    sampling: samplingSchema.parse(sampling),
    maxTokens: 7,
    ...more,
  });
}

describe("a completion request", () => {
  it("says everything that a server would have a default of its own for, and nothing else", () => {
    const said = {
      model: "llama",
      prompt: [1, 2, 3],
      max_tokens: 7,
      stream: true,
      stream_options: { include_usage: true, continuous_usage_stats: true },
      temperature: 1,
      top_p: 1,
      top_k: 0,
      min_p: 0,
      frequency_penalty: 0,
      presence_penalty: 0,
      repetition_penalty: 1,
    };
    expect(body("vllm")).toEqual(said);
    expect(body("tensorrt_llm")).toEqual(said);
    expect(body("sglang")).toEqual({ ...said, top_k: -1 });
  });

  it("is in llama.cpp's words, in the other servers' order of sampling, over the whole text", () => {
    const { repetition_penalty, ...said } = body("llamacpp", { repetition_penalty: 1.3, top_k: 5 });
    expect(repetition_penalty).toBeUndefined();
    expect(said).toMatchObject({ top_k: 5, repeat_penalty: 1.3, repeat_last_n: 10, timings_per_token: true });
    expect(said.samplers).toEqual(["penalties", "temperature", "min_p", "top_k", "top_p"]);
  });

  it("carries what is asked for to every server", () => {
    const asked = { seed: 5, stop: ["x"], logit_bias: { "7": -100 }, ignore_eos: true };
    for (const server of SERVERS) expect(body(server, asked)).toMatchObject(asked);
    const more = { stop_token_ids: [9], min_tokens: 3 };
    for (const server of SERVERS.filter((name) => name !== "llamacpp")) expect(body(server, more)).toMatchObject(more);
  });

  it("asks for log-probabilities in a form that names tokens by id", () => {
    expect(body("vllm", { logprobs: 0 })).toMatchObject({ logprobs: 0, return_tokens_as_token_ids: true });
    // None at all would be 0.
    expect(body("llamacpp", { logprobs: 0 })).toMatchObject({ logprobs: 1 });
    expect(body("llamacpp", { logprobs: 3 })).toMatchObject({ logprobs: 3 });
  });

  it("leaves it to the server to hold the answer to a format", () => {
    const schema = { type: "object", properties: { a: { type: "integer" } } };
    const of = (server: ServerKind, format: object) => body(server, { response_format: format });
    for (const server of SERVERS.filter((name) => name !== "llamacpp")) {
      expect(of(server, { type: "json_object" }).response_format).toEqual({ type: "json_object" });
      expect(of(server, { type: "json_schema", schema }).response_format).toEqual({
        type: "json_schema",
        json_schema: { name: "answer", schema },
      });
    }
    expect(of("llamacpp", { type: "json_object" }).json_schema).toEqual({ type: "object" });
    expect(of("llamacpp", { type: "json_schema", schema }).json_schema).toEqual(schema);
  });

  it("is refused where the server would ignore a part of it", () => {
    const refusal = (param: string) => expect.objectContaining({ code: "unsupported_parameter", param });
    expect(() => body("llamacpp", { stop_token_ids: [5] })).toThrow(refusal("stop_token_ids"));
    expect(() => body("llamacpp", { min_tokens: 5 })).toThrow(refusal("min_tokens"));
    expect(() => body("sglang", { logprobs: 1 })).toThrow(refusal("logprobs"));
    expect(() => body("tensorrt_llm", { logprobs: 0 })).toThrow(refusal("logprobs"));
    const guidance = { prompt: [1], strength: 2 };
    for (const server of SERVERS) expect(() => body(server, {}, { guidance })).toThrow(refusal("steer.strength"));
  });
});
