import {
  type ChatRequest,
  chatRequestSchema,
  type Message,
  type Sampling,
  type SamplingDefaults,
  samplingSchema,
  UNSUPPORTED_FIELDS,
} from "../../schema/api/chat.ts";
import { AttuneError, invalidRequest } from "../../schema/wire/errors.ts";

/** A field that would change the answer is refused rather than ignored; a value that asks for nothing is fine. */
function checkUnsupported(body: object): void {
  const refused = Object.entries(body)
    .filter(([field, value]) => {
      const asksForNothing = Object.hasOwn(UNSUPPORTED_FIELDS, field) ? UNSUPPORTED_FIELDS[field] : undefined;
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
  if (typeof body === "object" && body !== null) checkUnsupported(body);
  const parsed = chatRequestSchema.safeParse(body);
  if (!parsed.success) throw invalidRequest(parsed.error);
  const { max_tokens, max_completion_tokens } = parsed.data;
  if (max_tokens != null && max_completion_tokens != null && max_tokens !== max_completion_tokens) {
    throw new AttuneError(
      "invalid_request",
      "max_tokens: differs from max_completion_tokens; they mean the same, give one of the two",
      { param: "max_tokens" },
    );
  }
  return parsed.data;
}

/** The request's sampling with OpenAI's two spellings folded into one and the model's defaults filled in. */
export function samplingOf(request: ChatRequest, defaults: SamplingDefaults): Sampling {
  const { stop } = request;
  return samplingSchema.parse({
    temperature: request.temperature ?? defaults.temperature,
    top_p: request.top_p ?? defaults.top_p,
    top_k: request.top_k ?? defaults.top_k,
    seed: request.seed ?? undefined,
    stop: (typeof stop === "string" ? [stop] : stop) ?? undefined,
    max_tokens: request.max_completion_tokens ?? request.max_tokens ?? undefined,
  });
}

/** The conversation under a preset's persona, which comes first and shares the turn of the request's own first system message. */
export function withPersona(messages: readonly Message[], persona: string): Message[] {
  if (persona === "") return [...messages];
  const [first, ...rest] = messages;
  if (first?.role === "system") return [{ ...first, content: `${persona}\n\n${first.content}` }, ...rest];
  return [{ role: "system", content: persona }, ...messages];
}
