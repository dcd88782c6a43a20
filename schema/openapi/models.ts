import { attributeDescriptionSchema, modelSchema } from "../api/models.ts";
import { attributeCalibrationSchema, calibrationSchema } from "../calibration.ts";
import type { Operation } from "./operation.ts";
import { listOf, named } from "./schemas.ts";

named("Model", modelSchema);
named("Calibration", calibrationSchema, "What answers were measured to be for each level that was asked for.");
named("AttributeCalibration", attributeCalibrationSchema);
named("Attribute", attributeDescriptionSchema);

export const modelOperations: Operation[] = [
  {
    id: "listModels",
    method: "get",
    path: "/v1/models",
    room: "Models",
    summary: "List the models that the key may use",
    access: "models:read",
    answers: { 200: { description: "The models.", json: listOf(modelSchema) } },
    errors: ["worker_unavailable"],
  },
  {
    id: "getModel",
    method: "get",
    path: "/v1/models/{id}",
    room: "Models",
    summary: "Read one model",
    access: "models:read",
    answers: { 200: { description: "The model.", json: modelSchema } },
    errors: ["model_not_found", "worker_unavailable"],
  },
  {
    id: "getCalibration",
    method: "get",
    path: "/v1/models/{id}/calibration",
    room: "Models",
    summary: "Read how a model's answers follow what they are asked for",
    access: "models:read",
    answers: { 200: { description: "The calibration.", json: calibrationSchema } },
    errors: ["not_found", "model_not_found", "worker_unavailable"],
  },
  {
    id: "listAttributes",
    method: "get",
    path: "/v1/attributes",
    room: "Models",
    summary: "List the nine attributes",
    access: "models:read",
    answers: { 200: { description: "The attributes, in their order.", json: listOf(attributeDescriptionSchema) } },
    errors: ["worker_unavailable"],
  },
];
