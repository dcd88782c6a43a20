import type { D1Migration } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { drizzle } from "drizzle-orm/d1";
import { createKey, hashKey } from "../../edge/auth/key.ts";
import type { Limits } from "../../edge/limits/window.ts";
import { apiKeys } from "../../schema/database/tables.ts";
import type { SeenGeneration } from "./seen.ts";

declare global {
  namespace Cloudflare {
    interface Env {
      MIGRATIONS: D1Migration[];
    }
    interface GlobalProps {
      mainModule: typeof import("../../edge/worker.ts");
    }
  }
}

export const ORIGIN = "https://attune.test";

const GENEROUS: Limits = { requests: 1000, tokens: 1_000_000 };

/** Stores a fresh key and returns it. */
export async function issueKey(
  options: { projectId?: string; limits?: Partial<Limits>; revokedAt?: number } = {},
): Promise<string> {
  const key = createKey("test");
  const limits = { ...GENEROUS, ...options.limits };
  await drizzle(env.DB)
    .insert(apiKeys)
    .values({
      id: `key_${crypto.randomUUID()}`,
      projectId: options.projectId ?? `proj_${crypto.randomUUID()}`,
      name: "test",
      hash: await hashKey(env.KEY_PEPPER, key),
      lastFour: key.slice(-4),
      requestsPerMinute: limits.requests,
      tokensPerMinute: limits.tokens,
      revokedAt: options.revokedAt ?? null,
    });
  return key;
}

export type Client = (path: string, body?: unknown, init?: RequestInit) => Promise<Response>;

/** Calls the Worker with this key: GET without a body, POST with one, unless `init` says otherwise. */
export function clientFor(key: string): Client {
  return (path, body, init = {}) =>
    exports.default.fetch(`${ORIGIN}${path}`, {
      ...(body !== undefined && { method: "POST", body: JSON.stringify(body) }),
      ...init,
      headers: { authorization: `Bearer ${key}`, ...init.headers },
    });
}

/** A client of a new project of its own. */
export async function newProject(limits: Partial<Limits> = {}): Promise<Client> {
  return clientFor(await issueKey({ limits }));
}

let texts = 0;

/** A chat request whose one message is unique: its first word picks the mock's behaviour, all of it finds it again. */
export function chat(behaviour: string, fields: object = {}) {
  texts += 1;
  const text = `${behaviour} ${crypto.randomUUID()} ${texts}`;
  return { text, body: { model: "steered", messages: [{ role: "user", content: text }], max_tokens: 50, ...fields } };
}

/** What the mock worker saw of the generation with this last message. */
export async function seenBy(text: string): Promise<SeenGeneration | null> {
  const response = await fetch(`${env.WORKER_URL}/seen?text=${encodeURIComponent(text)}`);
  return response.json();
}
