import { describe, expect, it } from "vitest";
import { ATTRIBUTES } from "../../schema/attributes.ts";
import { newProject } from "./project.ts";

describe("GET /v1/models", () => {
  it("lists what the worker serves, in OpenAI's form with the steering profile", async () => {
    const call = await newProject();
    const response = await call("/v1/models");
    expect(await response.json()).toMatchObject({
      object: "list",
      data: [
        { id: "steered", object: "model", owned_by: "attune", context_length: 2048, steering: { template: "chatml" } },
        { id: "plain", object: "model", owned_by: "attune", context_length: 2048, steering: null },
      ],
    });
  });

  it("describes one", async () => {
    const call = await newProject();
    expect(await (await call("/v1/models/plain")).json()).toMatchObject({ id: "plain", object: "model" });
    const missing = await call("/v1/models/gpt-4");
    expect(missing.status).toBe(404);
    expect(await missing.json()).toMatchObject({
      error: { code: "model_not_found", message: expect.stringContaining("steered, plain") },
    });
  });
});

describe("GET /v1/attributes", () => {
  it("tells names, range, meaning and each model's default, in order", async () => {
    const call = await newProject();
    const body = await (await call("/v1/attributes")).json<{ object: string; data: { name: string }[] }>();
    expect(body.object).toBe("list");
    expect(body.data.map(({ name }) => name)).toEqual([...ATTRIBUTES]);
    expect(body.data[1]).toEqual({
      object: "attribute",
      name: "toxicity",
      minimum: 0,
      maximum: 4,
      meaning: expect.any(String),
      defaults: { steered: 0, plain: null },
    });
  });
});
