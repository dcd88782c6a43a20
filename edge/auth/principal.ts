import type { Scope } from "../../schema/api/keys.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import type { ModelAddress } from "../steering/address.ts";
import type { ApiKey } from "./store.ts";

/** Who asks, and what it may do. */
export type Principal = Pick<
  ApiKey,
  "projectId" | "limits" | "projectLimits" | "endUserLimits" | "scopes" | "bounds" | "models" | "presets" | "moderation"
> & {
  keyId: string;
  /** `null` where it is a key itself that asks, and not a session opened with one. */
  session: Session | null;
};

export type Session = {
  /** The page that it was opened by, and works for. */
  origin: string;
  endUser: string | null;
  /** What its requests use where they name none; they may not use another. */
  preset: string | null;
};

/** What the key allows to whoever has it, or to a session opened with it. */
export function principalOf(key: ApiKey, session: Session | null): Principal {
  const {
    id: keyId,
    projectId,
    limits,
    projectLimits,
    endUserLimits,
    scopes,
    bounds,
    models,
    presets,
    moderation,
  } = key;
  const may = { scopes, bounds, models, presets, moderation };
  return { projectId, keyId, limits, projectLimits, endUserLimits, ...may, session };
}

const denied = (message: string, param?: string) =>
  new AttuneError("permission_denied", message, param === undefined ? {} : { param });

const who = (principal: Principal) => (principal.session === null ? "This key" : "This session");

/** @throws AttuneError `permission_denied` */
export function permitScope(principal: Principal, scope: Scope): void {
  if (principal.scopes.includes(scope)) return;
  throw denied(
    `${who(principal)} lacks the scope ${scope}; it has ${principal.scopes.join(", ")}. Use another key, or have it added.`,
  );
}

/** Whether the principal may know of this model. */
export function mayUseModel({ models }: Principal, model: string): boolean {
  return models === null || models.includes(model);
}

/** @throws AttuneError `permission_denied` */
export function permitModel(principal: Principal, model: string): void {
  if (mayUseModel(principal, model)) return;
  const allowed = principal.models?.join(", ");
  throw denied(
    `${who(principal)} may not use the model ${JSON.stringify(model)}. It is limited to ${allowed}.`,
    "model",
  );
}

/** Whether the principal may know of this preset. */
export function mayUsePreset({ presets }: Principal, slug: string): boolean {
  return presets === null || presets.includes(slug);
}

/** @throws AttuneError `permission_denied` */
export function permitPreset(principal: Principal, slug: string, param = "slug"): void {
  if (mayUsePreset(principal, slug)) return;
  throw denied(
    `${who(principal)} may not use the preset ${slug}. It is limited to ${principal.presets?.join(", ")}.`,
    param,
  );
}

/** What nobody published yet is for those who may edit it. */
function permitDraft(principal: Principal, param: string): void {
  if (principal.scopes.includes("presets:write")) return;
  throw denied(
    `${who(principal)} may not use drafts: that takes the scope presets:write. Name a published version, or none for the latest.`,
    param,
  );
}

/**
 * What a request addresses, within what the principal may use. Where it names no preset it takes the session's; a key that is limited
 * to some presets must be told which.
 *
 * @throws AttuneError `permission_denied`
 */
export function permitAddress(principal: Principal, address: ModelAddress): ModelAddress {
  permitModel(principal, address.model);
  if (address.preset !== null) {
    permitPreset(principal, address.preset.slug, address.preset.param);
    if (address.preset.reference === "draft") permitDraft(principal, address.preset.param);
    return address;
  }
  const preset = principal.session?.preset ?? null;
  if (preset !== null) return { ...address, preset: { slug: preset, reference: "latest", param: "steer.preset" } };
  if (principal.presets === null) return address;
  throw denied(
    `${who(principal)} only works with a preset. Name one of ${principal.presets.join(", ")} in steer.preset.`,
    "steer.preset",
  );
}
