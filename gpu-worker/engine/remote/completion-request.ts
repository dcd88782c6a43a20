import { type Sampling, samplingSchema } from "../../../schema/api/chat.ts";
import type { ResponseFormat } from "../../../schema/api/response-format.ts";
import { AttuneError } from "../../../schema/wire/errors.ts";
import type { GenerationRequest } from "../generation.ts";
import type { RemoteModel, ServerKind } from "./remote-model.ts";

type Field = keyof GenerationRequest["sampling"];
type Fields = Record<string, unknown>;

/** What asks for nothing. */
const NEUTRAL: Sampling = samplingSchema.parse({});

const SERVERS: Record<ServerKind, { title: string; cannot: Field[] }> = {
  vllm: { title: "vLLM", cannot: [] },
  // Their log-probabilities name tokens by their text, which is ambiguous.
  sglang: { title: "SGLang", cannot: ["logprobs"] },
  tensorrt_llm: { title: "TensorRT-LLM", cannot: ["logprobs"] },
  // It ignores fields that it does not know.
  llamacpp: { title: "llama.cpp's server", cannot: ["stop_token_ids", "min_tokens"] },
};

/** llama.cpp's own order takes the temperature last; this is the order that the other servers and the built-in engine have. */
const LLAMACPP_SAMPLERS = ["penalties", "temperature", "min_p", "top_k", "top_p"];

/**
 * The body of `POST /v1/completions`, in the server's own words. What a server would fill in with a default of its own (a model's
 * `generation_config.json`, llama.cpp's top-k of 40) is always said; the rest only where it is asked for, because TensorRT-LLM
 * refuses fields that it does not know. Sources: `CompletionRequest` of vllm/entrypoints/openai/completion/protocol.py, of
 * sglang/srt/entrypoints/openai/protocol.py and of tensorrt_llm/serve/openai_protocol.py; llama.cpp's
 * tools/server/server-schema.cpp. All four take token ids as the prompt and count them as they are.
 *
 * @throws AttuneError `unsupported_parameter` for what the server would ignore or cannot report
 */
export function completionRequest(model: RemoteModel, request: GenerationRequest): Fields {
  refuseUnsupported(model.server, request);
  const { sampling } = request;
  return {
    model: model.name,
    prompt: request.prompt,
    max_tokens: request.maxTokens,
    stream: true,
    stream_options: { include_usage: true, continuous_usage_stats: true },
    temperature: sampling.temperature,
    top_p: sampling.top_p,
    min_p: sampling.min_p,
    frequency_penalty: sampling.frequency_penalty,
    presence_penalty: sampling.presence_penalty,
    ...asked(sampling, ["seed", "stop", "stop_token_ids", "logit_bias", "ignore_eos", "min_tokens"]),
    ...OWN[model.server](request),
  };
}

/** What the servers call differently. */
const OWN: Record<ServerKind, (request: GenerationRequest) => Fields> = {
  vllm: ({ sampling }) => ({
    ...common(sampling),
    ...(sampling.logprobs === null ? {} : { logprobs: sampling.logprobs, return_tokens_as_token_ids: true }),
  }),
  sglang: ({ sampling }) => ({ ...common(sampling), top_k: sampling.top_k === 0 ? -1 : sampling.top_k }),
  tensorrt_llm: ({ sampling }) => common(sampling),
  llamacpp: ({ prompt, maxTokens, sampling }) => ({
    top_k: sampling.top_k,
    repeat_penalty: sampling.repetition_penalty,
    // Its default looks at the last 64 tokens only.
    repeat_last_n: prompt.length + maxTokens,
    samplers: LLAMACPP_SAMPLERS,
    // Its running count of tokens.
    timings_per_token: true,
    // 0 would be none at all; the surplus one is cut off again.
    ...(sampling.logprobs === null ? {} : { logprobs: Math.max(1, sampling.logprobs) }),
    // It knows `response_format` for chats only.
    ...(sampling.response_format === null ? {} : { json_schema: schemaOf(sampling.response_format) }),
  }),
};

function common({ top_k, repetition_penalty, response_format: format }: GenerationRequest["sampling"]): Fields {
  if (format === null) return { top_k, repetition_penalty };
  const json_schema = { name: "answer", schema: schemaOf(format) };
  const response_format = format.type === "json_object" ? format : { type: format.type, json_schema };
  return { top_k, repetition_penalty, response_format };
}

function schemaOf(format: ResponseFormat): Fields {
  return format.type === "json_object" ? { type: "object" } : format.schema;
}

/** The named fields that ask for something. */
function asked(sampling: GenerationRequest["sampling"], names: Field[]): Fields {
  return Object.fromEntries(names.filter((name) => asks(sampling, name)).map((name) => [name, sampling[name]]));
}

function asks(sampling: GenerationRequest["sampling"], name: Field): boolean {
  return JSON.stringify(sampling[name]) !== JSON.stringify(NEUTRAL[name]);
}

function refuseUnsupported(server: ServerKind, { sampling, guidance }: GenerationRequest): void {
  const { title, cannot } = SERVERS[server];
  const field = cannot.find((name) => asks(sampling, name)) ?? (guidance === undefined ? undefined : "steer.strength");
  if (field === undefined) return;
  throw new AttuneError("unsupported_parameter", `${field} is not supported: this model is served by ${title}.`, {
    param: field,
  });
}
