import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { openKept } from "../../edge/generations/kept/open.ts";
import { type Generation, generationSchema } from "../../schema/api/generations.ts";
import { type Client, clientFor, issueKey } from "./project.ts";

/** A stream's events, without the comments between them. */
const withoutComments = (text: string) => text.replaceAll(/^:.*\n\n/gm, "");

export const readEvents = async (response: Response) => withoutComments(await response.text());

/** Reads until something of the answer has come, and goes away. */
export async function leaveAfter(response: Response, wanted: string): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.includes(wanted)) return withoutComments(text);
  }
  throw new Error(`ended before ${wanted}: ${text}`);
}

/** The last id in some events. */
export const lastIdOf = (events: string) =>
  events
    .match(/^id: (.*)$/gm)
    ?.at(-1)
    ?.slice(4) ?? "";

export const idOf = (response: Response) => response.headers.get("x-generation-id") ?? "";

export async function findGeneration(call: Client, id: string): Promise<Generation> {
  return generationSchema.parse(await (await call(`/v1/generations/${id}`)).json());
}

export const used = async (call: Client, limit: number) =>
  limit - Number((await call("/v1/models")).headers.get("x-ratelimit-remaining-tokens"));

/** A client of a new project, and the project. */
export async function newTenant(columns: Parameters<typeof issueKey>[0] = {}) {
  const projectId = `proj_${crypto.randomUUID()}`;
  return { projectId, call: clientFor(await issueKey({ projectId, ...columns })) };
}

/** Has the object that keeps a generation lose its memory, as a crash or a deployment does. */
export async function crash(projectId: string, id: string): Promise<void> {
  const kept = openKept(env, projectId, id);
  await runInDurableObject(kept, (_, state) => state.abort("crashed by a test")).catch(() => {});
}

/** The number of generations that count as running for a key with a limit on them. */
export async function runningOf(call: Client): Promise<number> {
  const { subjects } = await (await call("/v1/limits")).json<{
    subjects: { limits: { concurrent_generations: { used: number } } }[];
  }>();
  return subjects[0]?.limits.concurrent_generations.used ?? Number.NaN;
}
