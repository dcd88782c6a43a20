import { describe, expect, it } from "vitest";
import { estimatePromptTokens } from "../../../edge/limits/estimate.ts";

describe("the prompt estimate", () => {
  it("goes by UTF-8 bytes, so that no script slips through cheaply", () => {
    const tokens = (content: string) => estimatePromptTokens([{ role: "user", content }], 1);
    expect(tokens("世界".repeat(100)) - tokens("")).toBe(200);
    expect(tokens("a".repeat(300)) - tokens("")).toBe(100);
  });

  it("counts every turn", () => {
    const turn = { role: "user", content: "" } as const;
    expect(estimatePromptTokens([turn, turn], 1)).toBeGreaterThan(estimatePromptTokens([turn], 1));
  });

  it("counts the conversation once and every label line", () => {
    const tokens = (content: string, labels: number) => estimatePromptTokens([{ role: "user", content }], labels);
    const label = tokens("", 2) - tokens("", 1);
    expect(label).toBeGreaterThan(0);
    expect(tokens("a".repeat(3000), 4) - tokens("a".repeat(3000), 1)).toBe(3 * label);
  });
});
