import type { Context } from "hono";
import { DEFAULT_MAX_TOKENS } from "../../schema/api/chat.ts";
import type { Preset } from "../../schema/api/presets.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import type { GenerateRequest } from "../../schema/wire/generate.ts";
import { randomBase62 } from "../base62.ts";
import { readJson } from "../body.ts";
import type { Edge } from "../environment.ts";
import { estimatePromptTokens } from "../limits/estimate.ts";
import { findModel } from "../models/routes.ts";
import { PresetStore } from "../presets/store.ts";
import { type ModelAddress, parseModelAddress } from "../steering/address.ts";
import { resolveFanOut, resolveSteering } from "../steering/resolve.ts";
import type { InferenceWorker } from "../upstreams/inference-worker.ts";
import { parseChatRequest, samplingOf, schedulingOf, withPersona } from "./request.ts";

/** What the worker will be asked to do, and the most tokens it may use by the edge's estimate. */
export type Plan = { request: GenerateRequest; tokens: number };

async function findPreset(c: Context<Edge>, address: NonNullable<ModelAddress["preset"]>): Promise<Preset> {
  const { slug, version, param } = address;
  const preset = await new PresetStore(c.env.DB, c.var.apiKey.projectId).find(slug);
  if (preset === null) {
    throw new AttuneError("preset_not_found", `There is no preset ${slug} in this project.`, { param });
  }
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
 * Reads, checks and resolves a chat request, up to what is sent to the worker.
 *
 * @throws AttuneError for whatever is wrong with the request
 */
export async function planGeneration(c: Context<Edge>, worker: InferenceWorker): Promise<Plan> {
  const chat = parseChatRequest(await readJson(c.req.raw));
  const address = parseModelAddress(chat.model, chat.steer?.preset);
  const model = findModel(await worker.models(), address.model);
  const preset = address.preset === null ? null : await findPreset(c, address.preset);
  const messages = withPersona(chat.messages, preset?.persona ?? "");
  const sampling = samplingOf(chat, model.sampling);
  const steer = chat.steer ?? {};
  const fanOut = resolveFanOut(steer, preset, model.profile);
  const choices = fanOut?.length ?? chat.n ?? 1;
  return {
    tokens: estimatePromptTokens(messages, fanOut?.length ?? 1) + choices * (sampling.max_tokens ?? DEFAULT_MAX_TOKENS),
    request: {
      generation: `gen_${randomBase62(24)}`,
      dialect: "openai",
      model: model.id,
      messages,
      steering: resolveSteering(steer, preset, model.profile),
      n: choices,
      ...(fanOut !== undefined && { fan_out: fanOut }),
      sampling,
      ...schedulingOf(chat),
      stream: chat.stream ?? false,
      include_usage: chat.stream_options?.include_usage ?? false,
    },
  };
}
