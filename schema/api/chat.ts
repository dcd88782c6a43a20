import { z } from "zod";
import { attributeLevelsSchema, requestedLevelsSchema, strengthSchema } from "../attributes.ts";
import { variableValuesSchema } from "./persona.ts";
import { PRESET_ADDRESS } from "./preset-reference.ts";
import { responseFormatRequestSchema, responseFormatSchema } from "./response-format.ts";

const textPartSchema = z.object({
  type: z.literal("text", { error: "only text parts are supported" }),
  text: z.string(),
});

export const contentSchema = z
  .union([z.string(), z.array(textPartSchema)], { error: "must be a string or a list of text parts" })
  .transform((content) => (typeof content === "string" ? content : content.map((part) => part.text).join("")));

/** One turn. `steer` on an assistant turn is the label it was generated under, rendered before that turn. */
export const messageSchema = z.object({
  role: z
    .enum(["system", "developer", "user", "assistant"], {
      error: "must be system, developer, user or assistant; tool messages are not supported",
    })
    .transform((role) => (role === "developer" ? "system" : role)),
  content: contentSchema,
  steer: z.strictObject({ attributes: requestedLevelsSchema }).optional(),
});
export type Message = z.infer<typeof messageSchema>;

/** Most answers to one request. */
const MAX_CHOICES = 16;

const CHOICES_ERROR = `must be from 1 to ${MAX_CHOICES}`;
export const choiceCountSchema = z
  .int({ error: CHOICES_ERROR })
  .min(1, { error: CHOICES_ERROR })
  .max(MAX_CHOICES, { error: CHOICES_ERROR });

/** A list with something for each of a request's answers. */
export const perChoice = <T extends z.ZodType>(schema: T) => {
  const error = `must hold 1 to ${MAX_CHOICES} entries, one for each answer`;
  return z.array(schema).min(1, { error }).max(MAX_CHOICES, { error });
};

/** What the caller steers by. */
const steerRequestSchema = z.strictObject({
  attributes: requestedLevelsSchema.optional(),
  /** An answer for each entry, steered by `attributes` with the entry's levels in their place. */
  fan_out: perChoice(requestedLevelsSchema).optional(),
  /** Above 1 the answer follows the attributes more strongly, at the cost of a second row in the batch. */
  strength: strengthSchema.optional(),
  /** What `strength` steers away from; without it, from the model without attributes. */
  against: attributeLevelsSchema.optional(),
  /** The levels are what answers should be measured to be: what is asked for, and how strongly, is up to the model's calibration. */
  calibrated: z.boolean().optional(),
  /** The answer says what was measured of it. */
  measure: z.boolean().optional(),
  /** `slug`, `slug:version` or `slug:alias`; the same as `model: "name@slug"`. */
  preset: z.string().regex(PRESET_ADDRESS, { error: "must be slug, slug:version or slug:alias" }).optional(),
  /** Values of the preset's variables. */
  variables: variableValuesSchema.optional(),
});

/** Upper end of max_tokens, whatever the model; its context is checked by the worker. */
const MAX_TOKENS = 131_072;

/** Longest answer where the request sets no max_tokens; shorter where the context leaves less. */
export const DEFAULT_MAX_TOKENS = 512;

/** Most of a caller's own token ids in one request: entries of `logit_bias`, and of `stop_token_ids`. */
const MAX_BIASES = 1024;
const MAX_STOP_TOKENS = 64;

/** Half a surrogate pair would be found within a character, and cut it in two. */
const stopSchema = z
  .string()
  .min(1)
  .max(256)
  .refine((stop) => stop.isWellFormed(), { error: "must be made of whole characters" });

export const samplingSchema = z.object({
  temperature: z.number().min(0).max(2).default(1),
  top_p: z.number().gt(0).max(1).default(1),
  /** 0 keeps every token. */
  top_k: z.int().min(0).max(1_000_000).default(0),
  /** Tokens less likely than this share of the most likely one's probability are not drawn; 0 keeps every token. */
  min_p: z.number().min(0).max(1).default(0),
  /** Off the logit of a token for each time it was generated. */
  frequency_penalty: z.number().min(-2).max(2).default(0),
  /** Off the logit of a token that was generated, once. */
  presence_penalty: z.number().min(-2).max(2).default(0),
  /** The logit of a token in prompt or answer is divided by it where positive, multiplied where negative; 1 changes nothing. */
  repetition_penalty: z.number().min(0.01).max(10).default(1),
  /** Added to the logits, by token id. */
  logit_bias: z
    .record(
      z.string().regex(/^(0|[1-9][0-9]{0,6})$/, { error: "must have token ids as keys" }),
      z.number().min(-100).max(100),
    )
    .refine((biases) => Object.keys(biases).length <= MAX_BIASES, { error: `must have at most ${MAX_BIASES} entries` })
    .default({}),
  /** How many of the most likely tokens to report beside each generated one; `null`: no log-probabilities at all. */
  logprobs: z.int().min(0).max(20).nullable().default(null),
  seed: z.int().nullable().default(null),
  stop: z.array(stopSchema).max(16).default([]),
  /** These end the answer as the model's own end tokens do. */
  stop_token_ids: z.array(z.int().min(0)).max(MAX_STOP_TOKENS).default([]),
  /** The model's own end tokens do not end the answer. */
  ignore_eos: z.boolean().default(false),
  /** Nothing but `max_tokens` ends the answer before it has so many tokens. */
  min_tokens: z.int().min(0).max(MAX_TOKENS).default(0),
  /** `null`: plain text. */
  response_format: responseFormatSchema.nullable().default(null),
  /** `null`: up to {@link DEFAULT_MAX_TOKENS}, as the context allows. */
  max_tokens: z.int().min(1).max(MAX_TOKENS).nullable().default(null),
});
/** Decoded sampling parameters, as the worker gets them. */
export type Sampling = z.infer<typeof samplingSchema>;

/** What a model does where a request does not say. */
export const samplingDefaultsSchema = samplingSchema.pick({ temperature: true, top_p: true, top_k: true, min_p: true });
export type SamplingDefaults = z.infer<typeof samplingDefaultsSchema>;

/** Longest deadline: an hour, in milliseconds. */
const MAX_DEADLINE = 3_600_000;

const DEADLINE_ERROR = `must be whole milliseconds from 1 to ${MAX_DEADLINE}`;
export const deadlineSchema = z
  .int({ error: DEADLINE_ERROR })
  .min(1, { error: DEADLINE_ERROR })
  .max(MAX_DEADLINE, { error: DEADLINE_ERROR });

/** OpenAI's tiers that there are here; `flex` waits behind the others. */
const serviceTierSchema = z.enum(["auto", "default", "flex"], { error: "must be auto, default or flex" });

const nullish = <T extends z.ZodType>(schema: T) => schema.nullish();

/** The body of `POST /v1/chat/completions`: OpenAI's, plus `steer` and vLLM's sampling. Unknown fields are ignored, as OpenAI clients expect. */
export const chatRequestSchema = z.object({
  model: z.string().min(1).max(256),
  messages: z.array(messageSchema).min(1, { error: "must hold at least one message" }).max(1024),
  steer: nullish(steerRequestSchema),
  n: nullish(choiceCountSchema),
  stream: nullish(z.boolean()),
  /** The answer can be read again later. */
  store: nullish(z.boolean()),
  /** The answer goes on without the client, which can come back for the rest of it. */
  resumable: nullish(z.boolean()),
  service_tier: nullish(serviceTierSchema),
  /** How long the answer may take, in milliseconds. */
  deadline_ms: nullish(deadlineSchema),
  stream_options: nullish(z.object({ include_usage: z.boolean().nullish() })),
  temperature: nullish(samplingSchema.shape.temperature.unwrap()),
  top_p: nullish(samplingSchema.shape.top_p.unwrap()),
  top_k: nullish(samplingSchema.shape.top_k.unwrap()),
  min_p: nullish(samplingSchema.shape.min_p.unwrap()),
  frequency_penalty: nullish(samplingSchema.shape.frequency_penalty.unwrap()),
  presence_penalty: nullish(samplingSchema.shape.presence_penalty.unwrap()),
  repetition_penalty: nullish(samplingSchema.shape.repetition_penalty.unwrap()),
  logit_bias: nullish(samplingSchema.shape.logit_bias.unwrap()),
  logprobs: nullish(z.boolean()),
  top_logprobs: nullish(samplingSchema.shape.logprobs.unwrap()),
  seed: nullish(z.int()),
  stop: nullish(z.union([stopSchema, samplingSchema.shape.stop.unwrap()])),
  stop_token_ids: nullish(samplingSchema.shape.stop_token_ids.unwrap()),
  ignore_eos: nullish(samplingSchema.shape.ignore_eos.unwrap()),
  min_tokens: nullish(samplingSchema.shape.min_tokens.unwrap()),
  max_tokens: nullish(samplingSchema.shape.max_tokens.unwrap()),
  response_format: nullish(responseFormatRequestSchema),
  max_completion_tokens: nullish(samplingSchema.shape.max_tokens.unwrap()),
});
export type ChatRequest = z.infer<typeof chatRequestSchema>;

/** OpenAI fields that would change the answer and are not implemented, each with the values that ask for nothing. */
export const UNSUPPORTED_FIELDS: Record<string, (value: unknown) => boolean> = {
  tools: (value) => Array.isArray(value) && value.length === 0,
  tool_choice: (value) => value === "none",
  functions: (value) => Array.isArray(value) && value.length === 0,
  function_call: (value) => value === "none",
  modalities: (value) => Array.isArray(value) && value.every((entry) => entry === "text"),
  audio: () => false,
};

/** Exact token counts of one answer. */
export const usageSchema = z.object({
  prompt_tokens: z.int().nonnegative(),
  completion_tokens: z.int().nonnegative(),
  total_tokens: z.int().nonnegative(),
});
export type Usage = z.infer<typeof usageSchema>;

export function usageOf(promptTokens: number, completionTokens: number): Usage {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  };
}
