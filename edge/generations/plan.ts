import type { Context } from "hono";
import { DEFAULT_MAX_TOKENS } from "../../schema/api/chat.ts";
import type { Preset } from "../../schema/api/presets.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import type { GenerateRequest } from "../../schema/wire/generate.ts";
import { permitAddress } from "../auth/principal.ts";
import { randomBase62 } from "../base62.ts";
import type { Edge } from "../environment.ts";
import { estimatePromptTokens } from "../limits/estimate.ts";
import { findModel, usableModels } from "../models/routes.ts";
import { PresetStore, presetNotFound } from "../presets/store.ts";
import { type ModelAddress, parseModelAddress } from "../steering/address.ts";
import { resolveFanOut, resolveSteering } from "../steering/resolve.ts";
import { CHAT_COMPLETIONS } from "./dialect.ts";
import { samplingOf, schedulingOf, withPersona } from "./request.ts";

/** What the worker will be asked to do, and the most tokens it may use by the edge's estimate. */
export type Plan = { request: GenerateRequest; tokens: number };

async function findPreset(c: Context<Edge>, address: NonNullable<ModelAddress["preset"]>): Promise<Preset> {
  const { slug, version, param } = address;
  const preset = await new PresetStore(c.env.DB, c.var.principal.projectId).find(slug);
  if (preset === null) throw presetNotFound(slug, param);
  if (version !== null && version !== preset.version) {
    throw new AttuneError(
      "preset_not_found",
      `Preset ${slug} has no version ${version} any more: only the current one, ${preset.version}, is kept.`,
      { param },
    );
  }
  return preset;
}

/**
 * Reads, checks and resolves a request, a chat completion where nothing else is said, up to what is sent to the worker.
 *
 * @throws AttuneError for whatever is wrong with the request
 */
export async function planGeneration(c: Context<Edge>, body: unknown, dialect = CHAT_COMPLETIONS): Promise<Plan> {
  const { chat, echo } = dialect.read(body);
  const { principal } = c.var;
  const address = permitAddress(principal, parseModelAddress(chat.model, chat.steer?.preset));
  const model = findModel(await usableModels(c), address.model);
  const preset = address.preset === null ? null : await findPreset(c, address.preset);
  const messages = withPersona(chat.messages, preset?.persona ?? "");
  const sampling = samplingOf(chat, model.sampling);
  const steer = chat.steer ?? {};
  const fanOut = resolveFanOut(steer, preset, principal.bounds, model);
  const choices = fanOut?.length ?? chat.n ?? 1;
  return {
    tokens: estimatePromptTokens(messages, fanOut?.length ?? 1) + choices * (sampling.max_tokens ?? DEFAULT_MAX_TOKENS),
    request: {
      generation: `gen_${randomBase62(24)}`,
      dialect: dialect.name,
      model: model.id,
      messages,
      steering: resolveSteering(steer, preset, principal.bounds, model),
      n: choices,
      ...(fanOut !== undefined && { fan_out: fanOut }),
      sampling,
      ...schedulingOf(chat),
      ...(steer.measure === true && { measure: true }),
      stream: chat.stream ?? false,
      include_usage: chat.stream_options?.include_usage ?? false,
      ...(echo !== undefined && { echo }),
    },
  };
}
