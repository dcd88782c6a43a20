import type { Context } from "hono";
import type { Message } from "../../schema/api/chat.ts";
import type { ServedModel } from "../../schema/api/models.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import type { ScoreAnswer, ScoreRequest } from "../../schema/wire/score.ts";
import { permitModel } from "../auth/principal.ts";
import type { Edge } from "../environment.ts";
import { admit, settle } from "../limits/admission.ts";
import { estimatePromptTokens } from "../limits/estimate.ts";
import { findModel, usableModels } from "../models/routes.ts";
import { InferenceWorker } from "../upstreams/inference-worker.ts";
import { answerRefusal } from "../upstreams/refusal.ts";
import { regionOf } from "../upstreams/worker-list.ts";

/** Answers to one conversation, and the model whose levels are meant. */
export type AnswersToScore = { model: ServedModel; messages: Message[]; answers: string[] };

/**
 * The model that a request names, else the first that the caller may use.
 *
 * @throws AttuneError `permission_denied`, `model_not_found`
 */
export async function namedModel(c: Context<Edge>, name: string | undefined): Promise<ServedModel> {
  if (name !== undefined) permitModel(c.var.principal, name);
  const models = await usableModels(c);
  if (name !== undefined) return findModel(models, name);
  const [first] = models;
  if (first !== undefined) return first;
  throw new AttuneError("model_not_found", "This key may use none of the models that are served here.", {
    param: "model",
  });
}

/** Bytes of a request to the worker: the conversation goes with each of the answers. Half of what the worker takes. */
const MAX_BYTES = 4_194_304;

const encoder = new TextEncoder();

/** @throws AttuneError `request_too_large` */
function toRequest({ model, messages, answers }: AnswersToScore): ScoreRequest {
  const request = { model: model.id, items: answers.map((answer) => ({ messages, answer })) };
  if (encoder.encode(JSON.stringify(request)).length <= MAX_BYTES) return request;
  throw new AttuneError(
    "request_too_large",
    "The conversation is too long for so many answers at once. Send fewer answers, or only the end of the conversation: no more is read.",
  );
}

/** Tokens that a model may read: the conversation with each of the answers. */
function estimateTokens({ messages, answers }: AnswersToScore): number {
  return answers.reduce(
    (sum, content) => sum + estimatePromptTokens([...messages, { role: "assistant", content }], 0),
    0,
  );
}

/**
 * Has the worker measure what `plan` reads off the request. Like a chat request, it counts as one whatever comes of it; its tokens are
 * charged as estimated where a model read them, and not where rules counted.
 *
 * @param plan what to measure. @throws AttuneError for whatever is wrong with the request
 * @param render the answer to what was measured
 */
export async function scoreAnswers<Plan extends AnswersToScore>(
  c: Context<Edge>,
  plan: () => Promise<Plan>,
  render: (scored: ScoreAnswer, planned: Plan) => object,
): Promise<Response> {
  const { planned, request } = await plan()
    .then((ready) => ({ planned: ready, request: toRequest(ready) }))
    .catch(async (error: unknown) => {
      await admit(c, 0);
      throw error;
    });
  const tokens = estimateTokens(planned);
  const reservation = await admit(c, tokens);
  let used = 0;
  try {
    const scored = await new InferenceWorker(
      c.env,
      c.var.requestId,
      regionOf(c.req.raw),
      c.var.observation.traceHeaders,
    ).score(request, c.req.raw.signal);
    if ("status" in scored) return answerRefusal(c, scored);
    if (scored.predicted) used = tokens;
    return c.json(render(scored, planned));
  } catch (error) {
    // Nobody is left to read this; 499 is how logs tell.
    if (c.req.raw.signal.aborted) return new Response(null, { status: 499 });
    throw error;
  } finally {
    c.executionCtx.waitUntil(settle(c, reservation, used));
  }
}
