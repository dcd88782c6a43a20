import { describe, expect, it } from "vitest";
import { parseModelAddress } from "../../../edge/steering/address.ts";

describe("the model a request names", () => {
  it.each([
    ["smollm2-135m", undefined, "smollm2-135m", null],
    ["smollm2-135m@poet", undefined, "smollm2-135m", { slug: "poet", reference: "latest", param: "model" }],
    ["smollm2-135m@poet:3", undefined, "smollm2-135m", { slug: "poet", reference: 3, param: "model" }],
    ["org/name:tag@poet", undefined, "org/name:tag", { slug: "poet", reference: "latest", param: "model" }],
    ["smollm2-135m", "poet:2", "smollm2-135m", { slug: "poet", reference: 2, param: "steer.preset" }],
    ["smollm2-135m@poet:staging", undefined, "smollm2-135m", { slug: "poet", reference: "staging", param: "model" }],
    ["smollm2-135m", "poet:draft", "smollm2-135m", { slug: "poet", reference: "draft", param: "steer.preset" }],
    ["smollm2-135m@poet", "poet:latest", "smollm2-135m", { slug: "poet", reference: "latest", param: "model" }],
    ["smollm2-135m@poet:2", "poet:2", "smollm2-135m", { slug: "poet", reference: 2, param: "model" }],
  ])("%s with steer.preset %s", (model, steerPreset, name, preset) => {
    expect(parseModelAddress(model, steerPreset)).toEqual({ model: name, preset });
  });

  it.each([
    "name@",
    "name@Poet",
    "name@poet:0",
    "name@poet:",
    "name@poet:1x",
    "name@poet:Live",
    "name@poet:a:b",
    `name@${"a".repeat(64)}`,
  ])("%s is refused", (model) => {
    expect(() => parseModelAddress(model, undefined)).toThrow(
      expect.objectContaining({ code: "invalid_request", param: "model" }),
    );
  });

  it.each([
    ["name@poet", "clown"],
    ["name@poet:1", "poet:2"],
    ["name@poet", "poet:2"],
  ])("%s contradicts steer.preset %s", (model, steerPreset) => {
    expect(() => parseModelAddress(model, steerPreset)).toThrow(
      expect.objectContaining({ code: "invalid_request", param: "steer.preset" }),
    );
  });
});
