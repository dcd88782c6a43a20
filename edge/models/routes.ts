import { Hono } from "hono";
import { describeAttributes, type ServedModel } from "../../schema/api/models.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import type { Edge } from "../environment.ts";
import { InferenceWorker } from "../upstreams/inference-worker.ts";

const toModel = (model: ServedModel) => ({
  id: model.id,
  object: "model",
  created: model.created,
  owned_by: "attune",
  context_length: model.context_length,
  steering: model.profile,
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

export const modelRoutes = new Hono<Edge>()
  .get("/models", async (c) => {
    const models = await new InferenceWorker(c.env, c.var.requestId).models();
    return c.json({ object: "list", data: models.map(toModel) });
  })
  .get("/models/:id", async (c) => {
    const models = await new InferenceWorker(c.env, c.var.requestId).models();
    return c.json(toModel(findModel(models, c.req.param("id"))));
  })
  .get("/attributes", async (c) => {
    const models = await new InferenceWorker(c.env, c.var.requestId).models();
    return c.json({ object: "list", data: describeAttributes(models) });
  });
