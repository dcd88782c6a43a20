import {
  type ChatRequest,
  chatRequestSchema,
  DEFAULT_MAX_TOKENS,
  type Message,
  type Sampling,
  type SamplingDefaults,
  samplingSchema,
  UNSUPPORTED_FIELDS,
} from "../../schema/api/chat.ts";
import type { PresetSampling } from "../../schema/api/presets.ts";
import { responseFormatOf } from "../../schema/api/response-format.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import { parse } from "../body.ts";

/**
 * A field that would change the answer is refused rather than ignored; a value that asks for nothing is fine.
 *
 * @param unsupported the fields, each with what tells such a value
 * @throws AttuneError `unsupported_parameter`
 */
export function checkUnsupported(body: unknown, unsupported: typeof UNSUPPORTED_FIELDS): void {
  if (typeof body !== "object" || body === null) return;
  const refused = Object.entries(body)
    .filter(([field, value]) => {
      const asksForNothing = Object.hasOwn(unsupported, field) ? unsupported[field] : undefined;
      return asksForNothing !== undefined && value !== null && !asksForNothing(value);
    })
    .map(([field]) => field);
  const [first] = refused;
  if (first === undefined) return;
  throw new AttuneError("unsupported_parameter", `Not supported by this server: ${refused.join(", ")}. Leave it out.`, {
    param: first,
  });
}

/**
 * Reads the body of `POST /v1/chat/completions`.
 *
 * @throws AttuneError `invalid_request`, `unsupported_parameter`
 */
export function parseChatRequest(body: unknown): ChatRequest {
  checkUnsupported(body, UNSUPPORTED_FIELDS);
  const request = parse(chatRequestSchema, body);
  checkTogether(request);
  return request;
}

/**
 * What two fields must not say together.
 *
 * @throws AttuneError `invalid_request`
 */
export function checkTogether(request: ChatRequest): void {
  const { max_tokens, max_completion_tokens, min_tokens, logprobs, top_logprobs, n } = request;
  const refuse = (param: string, message: string) => {
    throw new AttuneError("invalid_request", `${param}: ${message}`, { param });
  };
  if (max_tokens != null && max_completion_tokens != null && max_tokens !== max_completion_tokens) {
    refuse("max_tokens", "differs from max_completion_tokens; they mean the same, give one of the two");
  }
  if (top_logprobs != null && top_logprobs > 0 && logprobs !== true) {
    refuse("top_logprobs", "needs logprobs to be true");
  }
  const fanOut = request.steer?.fan_out?.length;
  if (n != null && fanOut !== undefined && n !== fanOut) {
    refuse("n", `must be the number of entries in steer.fan_out, which is ${fanOut}, or be left out beside it`);
  }
  if (request.steer?.calibrated === true) {
    for (const field of ["strength", "against"] as const) {
      if (request.steer[field] === undefined) continue;
      refuse(`steer.${field}`, "is up to the model's calibration with steer.calibrated; leave one of the two out");
    }
  }
  // A grammar knows when its text is complete, and that nothing may follow.
  const goesOn = request.ignore_eos === true ? "ignore_eos" : (min_tokens ?? 0) > 0 ? "min_tokens" : null;
  if (goesOn !== null && responseFormatOf(request.response_format) !== null) {
    refuse(goesOn, "cannot be combined with a response_format of JSON, which ends where it is complete");
  }
}

/**
 * Of an answer that is one message by its form.
 *
 * @throws AttuneError `unsupported_parameter`
 */
export function refuseFanOut({ steer }: ChatRequest): void {
  if (steer?.fan_out === undefined) return;
  const message = "steer.fan_out: is for POST /v1/chat/completions; this answer has room for one message only";
  throw new AttuneError("unsupported_parameter", message, { param: "steer.fan_out" });
}

const UNSAID = samplingSchema.parse({});

/**
 * The request's sampling with OpenAI's two spellings folded into one. What it does not say is the preset's, and what neither says the
 * model's.
 *
 * @throws AttuneError `invalid_request` where `min_tokens` is more than what comes of it allows
 */
export function samplingOf(request: ChatRequest, preset: PresetSampling, model: SamplingDefaults): Sampling {
  const { stop } = request;
  const max_tokens = request.max_completion_tokens ?? request.max_tokens ?? preset.max_tokens;
  const longest = max_tokens ?? DEFAULT_MAX_TOKENS;
  if (request.min_tokens != null && request.min_tokens > longest) {
    const message = `min_tokens: must be at most max_tokens, which is ${longest} here`;
    throw new AttuneError("invalid_request", message, { param: "min_tokens" });
  }
  // All of them were checked where they came from.
  return {
    temperature: request.temperature ?? preset.temperature ?? model.temperature,
    top_p: request.top_p ?? preset.top_p ?? model.top_p,
    top_k: request.top_k ?? preset.top_k ?? model.top_k,
    min_p: request.min_p ?? preset.min_p ?? model.min_p,
    frequency_penalty: request.frequency_penalty ?? preset.frequency_penalty ?? UNSAID.frequency_penalty,
    presence_penalty: request.presence_penalty ?? preset.presence_penalty ?? UNSAID.presence_penalty,
    repetition_penalty: request.repetition_penalty ?? preset.repetition_penalty ?? UNSAID.repetition_penalty,
    logit_bias: request.logit_bias ?? UNSAID.logit_bias,
    logprobs: request.logprobs === true ? (request.top_logprobs ?? 0) : null,
    seed: request.seed ?? preset.seed ?? UNSAID.seed,
    stop: (typeof stop === "string" ? [stop] : stop) ?? preset.stop ?? UNSAID.stop,
    stop_token_ids: request.stop_token_ids ?? UNSAID.stop_token_ids,
    ignore_eos: request.ignore_eos ?? UNSAID.ignore_eos,
    min_tokens: request.min_tokens ?? UNSAID.min_tokens,
    response_format: responseFormatOf(request.response_format),
    max_tokens: max_tokens ?? UNSAID.max_tokens,
  };
}

/** Behind those who ask for nothing, whose priority is 0. */
const FLEX_PRIORITY = 1;

/** What the request says of when it is to be served. A request that names a tier is told which one it was served in. */
export function schedulingOf({ service_tier, deadline_ms }: ChatRequest) {
  const flex = service_tier === "flex";
  return {
    ...(flex && { priority: FLEX_PRIORITY }),
    ...(service_tier != null && { service_tier: flex ? ("flex" as const) : ("default" as const) }),
    ...(deadline_ms != null && { deadline_ms }),
  };
}

/** The conversation under a preset's persona, which comes first and shares the turn of the request's own first system message. */
export function withPersona(messages: readonly Message[], persona: string): Message[] {
  if (persona === "") return [...messages];
  const [first, ...rest] = messages;
  if (first?.role === "system") return [{ ...first, content: `${persona}\n\n${first.content}` }, ...rest];
  return [{ role: "system", content: persona }, ...messages];
}
