import { usageOf } from "../../../schema/api/chat.ts";
import type { Generation } from "../../../schema/api/generations.ts";
import type { ErrorBody, ErrorStatus } from "../../../schema/wire/errors.ts";
import type { GenerateRequest, GenerationState } from "../../../schema/wire/generate.ts";
import type { Subject } from "../../limits/subject.ts";
import type { Region } from "../../upstreams/worker-list.ts";
import { type GenerationEnding, tokensOf } from "../../usage/usage-record.ts";
import type { KeptSize } from "./kept-events.ts";

/** Who asked: a secret key, or a session for its end user. */
export type Asker = { projectId: string; keyId: string; session: { endUser: string | null } | null };

/** What is to be generated, for whom, and what is to be kept of it. */
export type Order = {
  request: GenerateRequest;
  asker: Asker;
  requestId: string;
  /** Where the request came from, as far as it decides on the worker. */
  region: Region | null;
  /** The request's place in a trace, as the worker is told. */
  traceHeaders: Record<string, string>;
  /** Unix milliseconds. */
  startedAt: number;
  /** Whose limits it has to fit, and the most tokens that it may use. */
  subjects: readonly Subject[];
  tokens: number;
  /** Seconds for which the answer stays after its end. */
  retention: number;
  /** Tells one request from another under the same Idempotency-Key; `null`: it has none. */
  fingerprint: string | null;
};

/** What a generation's object knows of it: everything but what was said. */
export type KeptRecord = Omit<Order, "subjects" | "tokens"> & {
  /** Names what was reserved for it. */
  reservation: string;
  /** Origin of the worker that has it; `null` until one has. */
  worker: string | null;
  /** `null`: not known yet. */
  promptTokens: number | null;
  /** `null`: it runs. `at` is Unix milliseconds. */
  ending: (GenerationEnding & { at: number }) | null;
  /** What is said of an answer that did not come to its end. */
  error: ErrorBody["error"] | null;
  /** HTTP status of an answer that is not streamed. */
  status: ErrorStatus | 200;
  /** Whether its limits and the ledger know how it ended. */
  settled: boolean;
  /** Whether its answer was deleted. */
  deleted: boolean;
};

/** A new generation's record. The conversation is not kept. */
export function recordOf({ subjects: _, tokens: __, ...order }: Order, reservation: string): KeptRecord {
  return {
    ...order,
    request: { ...order.request, messages: [] },
    reservation,
    worker: null,
    promptTokens: null,
    ending: null,
    error: null,
    status: 200,
    settled: false,
    deleted: false,
  };
}

/** A project's secret keys see all that is its; a session sees what its end user asked for with the same key. */
export function mayRead({ asker: owner }: KeptRecord, asker: Asker): boolean {
  if (owner.projectId !== asker.projectId) return false;
  if (asker.session === null) return true;
  return owner.keyId === asker.keyId && owner.session !== null && owner.session.endUser === asker.session.endUser;
}

/** Whether a call is for what the record is about: the call itself once more, or its request under the same Idempotency-Key. */
export function isSame(known: KeptRecord, order: Order): boolean {
  return isCallOf(known, order) || (known.fingerprint !== null && known.fingerprint === order.fingerprint);
}

export function isCallOf(known: KeptRecord, { request }: Order): boolean {
  return known.request.generation === request.generation;
}

/** Whether it failed before anything was generated, so that the same request may be tried again. */
export function cameToNothing({ ending }: KeptRecord): boolean {
  return ending?.state === "failed" && ending.completionTokens === 0;
}

/** When everything about it is forgotten, in Unix milliseconds; `null` while it runs. */
export function keptUntil({ ending, retention }: KeptRecord): number | null {
  return ending === null ? null : ending.at + retention * 1000;
}

/** A worker says of a streamed answer only that it has begun with it. */
function stateOf({ ending, worker, request }: KeptRecord): GenerationState {
  return ending?.state ?? (worker !== null || !request.stream ? "running" : "queued");
}

const seconds = (milliseconds: number | null) => (milliseconds === null ? null : Math.floor(milliseconds / 1000));

/** The record as its owner reads it. */
export function toGeneration(record: KeptRecord, size: KeptSize): Generation {
  const { request, ending, promptTokens } = record;
  const usage = ending ?? { promptTokens, completionTokens: size.completionTokens };
  const isKnown = ending === null ? promptTokens !== null : tokensOf(ending) !== null;
  return {
    object: "generation",
    id: request.generation,
    state: stateOf(record),
    model: request.model,
    dialect: request.dialect,
    stream: request.stream,
    preset: request.steering.preset,
    steer: request.fan_out === undefined ? request.steering : null,
    usage: isKnown ? usageOf(usage.promptTokens ?? 0, usage.completionTokens ?? 0) : null,
    created_at: Math.floor(record.startedAt / 1000),
    finished_at: seconds(ending?.at ?? null),
    error: ending?.state === "failed" ? record.error : null,
    kept: record.deleted ? null : { bytes: size.bytes, events: size.events, until: seconds(keptUntil(record)) },
    request_id: record.requestId,
  };
}
