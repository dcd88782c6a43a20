import { type Context, Hono } from "hono";
import { describeAttributes, type Model, type ServedModel } from "../../schema/api/models.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import { requireScope } from "../auth/authenticate.ts";
import { mayUseModel, permitModel } from "../auth/principal.ts";
import type { Edge } from "../environment.ts";
import { InferenceWorker } from "../upstreams/inference-worker.ts";

const toModel = (model: ServedModel): Model => ({
  id: model.id,
  object: "model",
  created: model.created,
  owned_by: "attune",
  context_length: model.context_length,
  steering: model.profile,
  calibrated: model.calibration !== null,
  sampling: model.sampling,
});

/**
 * The served model with this id.
 *
 * @throws AttuneError `model_not_found`, naming those that there are
 */
export function findModel(models: readonly ServedModel[], id: string): ServedModel {
  const model = models.find((candidate) => candidate.id === id);
  if (model !== undefined) return model;
  const served = models.map((candidate) => candidate.id).join(", ");
  throw new AttuneError("model_not_found", `There is no model ${JSON.stringify(id)}. Served here: ${served}.`, {
    param: "model",
  });
}

/** The served models that the caller may use. */
export async function usableModels(c: Context<Edge>): Promise<ServedModel[]> {
  const { requestId, observation, principal } = c.var;
  const models = await new InferenceWorker(c.env, requestId, null, observation.traceHeaders).models();
  return models.filter(({ id }) => mayUseModel(principal, id));
}

const mayRead = requireScope("models:read");

export const modelRoutes = new Hono<Edge>()
  .get("/models", mayRead, async (c) => c.json({ object: "list", data: (await usableModels(c)).map(toModel) }))
  .get("/models/:id", mayRead, async (c) => {
    const id = c.req.param("id");
    permitModel(c.var.principal, id);
    return c.json(toModel(findModel(await usableModels(c), id)));
  })
  .get("/models/:id/calibration", mayRead, async (c) => {
    const id = c.req.param("id");
    permitModel(c.var.principal, id);
    const { calibration } = findModel(await usableModels(c), id);
    if (calibration !== null) return c.json(calibration);
    throw new AttuneError(
      "not_found",
      `Nobody measured how the answers of ${id} follow what they are asked for, so it has no calibration.`,
    );
  })
  .get("/attributes", mayRead, async (c) =>
    c.json({ object: "list", data: describeAttributes(await usableModels(c)) }),
  );
