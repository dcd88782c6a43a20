import { createExecutionContext, type D1Migration, waitOnExecutionContext } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { expect } from "vitest";
import { app } from "../../edge/app.ts";
import { createKey, describeSecret } from "../../edge/auth/key.ts";
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

/** What a key may do in a minute. */
type KeyLimits = { requests: number; tokens: number };

const GENEROUS: KeyLimits = { requests: 1000, tokens: 1_000_000 };

/** Stores a fresh key, with the columns given, and returns it. */
export async function issueKey(
  options: { projectId?: string; limits?: Partial<KeyLimits> } & Partial<typeof apiKeys.$inferInsert> = {},
): Promise<string> {
  const { limits: some, ...columns } = options;
  const limits = { ...GENEROUS, ...some };
  const key = createKey(columns.kind === "publishable" ? "pk_test" : "sk_test");
  await drizzle(env.DB)
    .insert(apiKeys)
    .values({
      id: `key_${crypto.randomUUID()}`,
      projectId: `proj_${crypto.randomUUID()}`,
      name: "test",
      ...(await describeSecret(env.KEY_PEPPER, key)),
      requestsPerMinute: limits.requests,
      tokensPerMinute: limits.tokens,
      // What these tests ask for is not clamped, unless they say so.
      bounds: {},
      ...columns,
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
export async function newProject(limits: Partial<KeyLimits> = {}): Promise<Client> {
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

/**
 * Calls the Worker's code as this file's own, so that it shares the test's clock and takes other bindings; waits for what it does after
 * the answer.
 */
export async function callApp(path: string, init: RequestInit = {}, bindings: Partial<Cloudflare.Env> = {}) {
  const context = createExecutionContext();
  const response = await app.fetch(new Request(ORIGIN + path, init), { ...env, ...bindings }, context);
  await waitOnExecutionContext(context);
  return response;
}

/** The row of a key, by its id. */
export const keyRow = (id: string) => drizzle(env.DB).select().from(apiKeys).where(eq(apiKeys.id, id)).get();

/** Reads a refusal: its status, its code, what it says, and the field it names where that is given. */
export async function expectError(
  response: Response,
  status: number,
  code: string,
  message: RegExp,
  param?: string | null,
): Promise<void> {
  expect(response.status).toBe(status);
  const error = { code, message: expect.stringMatching(message), ...(param !== undefined && { param }) };
  expect(await response.json()).toMatchObject({ error });
}
