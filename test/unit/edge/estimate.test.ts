import { describe, expect, it } from "vitest";
import { estimatePromptTokens } from "../../../edge/limits/estimate.ts";

describe("the prompt estimate", () => {
  it("goes by UTF-8 bytes, so that no script slips through cheaply", () => {
    const tokens = (content: string) => estimatePromptTokens([{ role: "user", content }]);
    expect(tokens("世界".repeat(100)) - tokens("")).toBe(200);
    expect(tokens("a".repeat(300)) - tokens("")).toBe(100);
  });

  it("counts every turn", () => {
    const turn = { role: "user", content: "" } as const;
    expect(estimatePromptTokens([turn, turn])).toBeGreaterThan(estimatePromptTokens([turn]));
  });
});
