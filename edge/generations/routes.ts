import { type Context, Hono } from "hono";
import type { Generation } from "../../schema/api/generations.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import { parseFrameId } from "../../schema/wire/frames.ts";
import { requireScope } from "../auth/authenticate.ts";
import type { Edge } from "../environment.ts";
import { DIALECTS } from "./dialects.ts";
import { answerKeptBytes, notKept } from "./kept/answer.ts";
import type { KeptGeneration } from "./kept/kept-generation.ts";
import type { Asker } from "./kept/kept-record.ts";
import { askerOf, isGenerationId, openKept } from "./kept/open.ts";
import { findEnded } from "./ledger.ts";

const notFound = (id: string) =>
  new AttuneError(
    "not_found",
    `No generation ${id} of yours is known here. One whose answer is not kept is known from shortly after its end.`,
  );

type Question = (kept: DurableObjectStub<KeptGeneration>, id: string, asker: Asker) => Promise<Generation | null>;

/** Asks the object that keeps the generation's answer; where none does, the ledger knows how it ended. */
async function ask(c: Context<Edge>, id: string, question: Question): Promise<Generation> {
  const asker = askerOf(c.var.principal);
  if (!isGenerationId(id)) throw notFound(id);
  const kept = await question(openKept(c.env, asker.projectId, id), id, asker);
  const generation = kept ?? (await findEnded(c.env.DB, asker, id));
  if (generation === null) throw notFound(id);
  return generation;
}

const find: Question = async (kept, id, asker) => kept.find(id, asker);
const cancel: Question = async (kept, id, asker) => kept.cancel(id, asker);
const deleteAnswer: Question = async (kept, id, asker) => kept.delete(id, asker);

const SEQUENCE = /^\d{1,15}$/;

/**
 * The number of the last event that the client has; −1: none. What the address says comes before what a client sends by itself.
 *
 * @throws AttuneError `invalid_request`
 */
function readAfter(c: Context<Edge>, id: string): number {
  const after = c.req.query("after");
  if (after !== undefined) {
    if (SEQUENCE.test(after)) return Number(after);
    const message = "after: must be the sequence number of an event, the second part of its id.";
    throw new AttuneError("invalid_request", message, { param: "after" });
  }
  const last = c.req.header("last-event-id") ?? "";
  if (last === "") return -1;
  const frame = parseFrameId(last);
  if (frame?.generation === id) return frame.sequence;
  const message = `Last-Event-ID: must be the id of an event of ${id}.`;
  throw new AttuneError("invalid_request", message, { param: "Last-Event-ID" });
}

/** What is kept of an answer that was streamed, or of one that was not. */
async function answerRead(c: Context<Edge>, id: string, part: "events" | "content"): Promise<Response> {
  const after = part === "events" ? readAfter(c, id) : -1;
  const { stream, dialect, kept } = await ask(c, id, find);
  if (kept === null) throw notKept(id);
  if (stream !== (part === "events")) {
    const message = stream
      ? `The answer of ${id} was streamed: read its events at GET /v1/generations/${id}/events.`
      : `The answer of ${id} was not streamed: read it at GET /v1/generations/${id}/content.`;
    throw new AttuneError("invalid_request", message);
  }
  const answer = await openKept(c.env, c.var.principal.projectId, id).read(id, askerOf(c.var.principal), after);
  if (answer === null || answer === "deleted") throw notKept(id);
  return answerKeptBytes(c, id, answer, DIALECTS[dialect]);
}

const mayChat = requireScope("chat");

/** Generations that were asked for: how they went, and what is kept of their answers. */
export const generationRoutes = new Hono<Edge>()
  .get("/:id", mayChat, async (c) => c.json(await ask(c, c.req.param("id"), find)))
  .get("/:id/events", mayChat, (c) => answerRead(c, c.req.param("id"), "events"))
  .get("/:id/content", mayChat, (c) => answerRead(c, c.req.param("id"), "content"))
  .post("/:id/cancel", mayChat, async (c) => c.json(await ask(c, c.req.param("id"), cancel)))
  .delete("/:id", mayChat, async (c) => c.json(await ask(c, c.req.param("id"), deleteAnswer)));
