import { z } from "zod";
import { parseJsonFile } from "./json-file.ts";

/** Ranks beyond this are not low; it keeps a wrong number from becoming a huge matrix. */
const LARGEST_RANK = 4096;

function isPattern(text: string): boolean {
  try {
    return modulePattern(text).source !== "";
  } catch {
    return false;
  }
}

const rankSchema = z.int().positive().max(LARGEST_RANK);
const patterns = (value: z.ZodNumber) =>
  z
    .record(z.string(), value)
    .refine((entries) => Object.keys(entries).every(isPattern), { error: "has a key that is not a regular expression" })
    .nullish();
const nothing = (what: string) => z.literal([false, null], { error: `${what} is not supported` }).optional();
const noEntries = (what: string) =>
  z
    .union([z.null(), z.array(z.unknown()).length(0), z.strictObject({})], { error: `${what} is not supported` })
    .optional();

/** Start values that leave the base model's weights as they are. PiSSA, OLoRA, CorDA and LoftQ change them too. */
const PLAIN_STARTS = [true, false, null, "gaussian", "eva", "orthogonal"] as const;

/**
 * `adapter_config.json` as PEFT writes it, as far as it changes what is computed. What would change it in a way that merging does
 * not know is refused; any other field is let be.
 */
const adapterConfigSchema = z.looseObject({
  peft_type: z.literal("LORA", { error: "must be LORA, the only kind of adapter that is supported" }),
  r: rankSchema,
  lora_alpha: z.number().positive(),
  use_rslora: z.boolean().nullish(),
  rank_pattern: patterns(rankSchema),
  alpha_pattern: patterns(z.number().positive()),
  target_modules: z.union([z.array(z.string()), z.string()]).nullish(),
  fan_in_fan_out: nothing("a transposed weight (fan_in_fan_out)"),
  use_dora: nothing("DoRA"),
  use_qalora: nothing("QALoRA"),
  lora_bias: nothing("a bias of the adapter"),
  bias: z.literal(["none", null], { error: "must be none: trained biases are not supported" }).optional(),
  modules_to_save: noEntries("a module trained in full (modules_to_save)"),
  trainable_token_indices: noEntries("training single tokens"),
  layer_replication: noEntries("replicating layers"),
  target_parameters: noEntries("adapting single parameters"),
  alora_invocation_tokens: noEntries("an activated LoRA"),
  init_lora_weights: z
    .literal(PLAIN_STARTS, { error: "changes the base model too; let PEFT save the adapter converted to plain LoRA" })
    .optional(),
});

export type AdapterConfig = z.infer<typeof adapterConfigSchema>;

/** Modules outside the layers: adapting them needs a head or an embedding of its own. */
const REFUSED_TARGETS = ["lm_head", "embed_tokens", "wte"];

/** @throws Error that names the field of `adapter_config.json` that is wrong or not supported */
export function parseAdapterConfig(path: string, text: string): AdapterConfig {
  const config = parseJsonFile(path, text, adapterConfigSchema, "a LoRA that can be served");
  const targets = Array.isArray(config.target_modules) ? config.target_modules : [];
  const refused = targets.find((target) => REFUSED_TARGETS.includes(target.split(".").at(-1) ?? ""));
  if (refused !== undefined) throw refusedTarget(path, refused);
  return config;
}

export function refusedTarget(path: string, module: string): Error {
  return new Error(
    `${path} adapts ${module}, which is not supported: only the linear layers of attention and feed-forward are.`,
  );
}

/**
 * Rank and scale of one module's update: α/r, or α/√r where rank-stabilised.
 *
 * @param module its path in the model: `model.layers.0.self_attn.q_proj`
 */
export function rankAndScale(config: AdapterConfig, module: string): { rank: number; scale: number } {
  const rank = firstMatch(config.rank_pattern, module) ?? config.r;
  const alpha = firstMatch(config.alpha_pattern, module) ?? config.lora_alpha;
  return { rank, scale: alpha / (config.use_rslora === true ? Math.sqrt(rank) : rank) };
}

function firstMatch(patterns: Record<string, number> | null | undefined, module: string): number | undefined {
  return Object.entries(patterns ?? {}).find(([pattern]) => modulePattern(pattern).test(module))?.[1];
}

/** PEFT's rule: a pattern is for modules whose whole path, or whose path from some dot on, it matches. */
function modulePattern(pattern: string): RegExp {
  return new RegExp(`^(?:.*\\.)?(?:${pattern})$`);
}
