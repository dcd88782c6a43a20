import type { Context } from "hono";
import type { VariableValues } from "../../schema/api/persona.ts";
import type { GenerateRequest } from "../../schema/wire/generate.ts";
import { permitAddress } from "../auth/principal.ts";
import { randomBase62 } from "../base62.ts";
import type { Edge } from "../environment.ts";
import { mostTokens } from "../limits/estimate.ts";
import { findModel, usableModels } from "../models/routes.ts";
import { fillPersona, refuseVariables } from "../presets/persona.ts";
import { resolveRecent } from "../presets/recent.ts";
import type { ResolvedPreset } from "../presets/versions.ts";
import { type ModelAddress, parseModelAddress } from "../steering/address.ts";
import { resolveFanOut, resolveSteering } from "../steering/resolve.ts";
import { CHAT_COMPLETIONS } from "./dialect.ts";
import { samplingOf, schedulingOf, withPersona } from "./request.ts";

/** What the worker will be asked to do, and the most tokens it may use by the edge's estimate. */
export type Plan = {
  request: GenerateRequest;
  tokens: number;
  /** What the request wants kept of its answer. */
  keep: { store: boolean; resumable: boolean };
};

/** The preset that is addressed, with the request's values in its persona; `null` where none is. */
async function readPreset(
  c: Context<Edge>,
  address: ModelAddress["preset"],
  variables: VariableValues,
): Promise<ResolvedPreset | null> {
  if (address === null) {
    refuseVariables(variables);
    return null;
  }
  const preset = await resolveRecent(c.env.DB, c.var.principal.projectId, address, address.param, Date.now());
  return { ...preset, persona: fillPersona(preset, variables) };
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
  const preset = await readPreset(c, address.preset, chat.steer?.variables ?? {});
  const messages = withPersona(chat.messages, preset?.persona ?? "");
  const sampling = samplingOf(chat, preset?.sampling ?? {}, model.sampling);
  const steer = chat.steer ?? {};
  const fanOut = resolveFanOut(steer, preset, principal.bounds, model);
  const request: GenerateRequest = {
    generation: `gen_${randomBase62(24)}`,
    dialect: dialect.name,
    model: model.id,
    messages,
    steering: resolveSteering(steer, preset, principal.bounds, model),
    n: fanOut?.length ?? chat.n ?? 1,
    ...(fanOut !== undefined && { fan_out: fanOut }),
    sampling,
    ...schedulingOf(chat),
    ...(steer.measure === true && { measure: true }),
    ...(principal.moderation !== null && { moderation: principal.moderation }),
    stream: chat.stream ?? false,
    include_usage: chat.stream_options?.include_usage ?? false,
    ...(echo !== undefined && { echo }),
  };
  const keep = { store: chat.store ?? false, resumable: chat.resumable ?? false };
  return { keep, tokens: mostTokens(request), request };
}
