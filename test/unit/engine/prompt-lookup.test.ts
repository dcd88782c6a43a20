import { describe, expect, it } from "vitest";
import { PromptLookup } from "../../../gpu-worker/engine/prompt-lookup.ts";

describe("a draft", () => {
  it("is what followed the latest two tokens the last time they were said", () => {
    expect(new PromptLookup().draft([1, 2, 7, 7, 1, 2, 3, 4, 5, 6, 9, 1, 2])).toEqual([3, 4, 5, 6]);
  });

  it("is as short as what has been said since", () => {
    expect(new PromptLookup().draft([1, 2, 3, 1, 2])).toEqual([3, 1, 2]);
    expect(new PromptLookup().draft([5, 5, 5])).toEqual([5]);
  });

  it("is empty where nothing recurs", () => {
    for (const tokens of [[], [1], [1, 1], [1, 2, 3, 4], [2, 1, 3, 1]]) {
      expect(new PromptLookup().draft(tokens)).toEqual([]);
    }
  });
});

describe("drafting", () => {
  const recurring = [1, 2, 3, 4, 5, 6, 1, 2];

  it("goes on while drafts are right", () => {
    const lookup = new PromptLookup();
    for (let pass = 0; pass < 100; pass++) {
      expect(lookup.draft(recurring)).toHaveLength(4);
      lookup.judge(4, 2);
    }
  });

  it("rests after a few drafts that were wrong, and tries again now and then", () => {
    const lookup = new PromptLookup();
    let drafts = 0;
    for (let token = 0; token < 200; token++) {
      if (lookup.draft(recurring).length === 0) continue;
      drafts += 1;
      lookup.judge(4, 0);
    }
    expect(drafts).toBeGreaterThan(4);
    expect(drafts).toBeLessThan(15);
  });

  it("takes up again when drafts become right", () => {
    const lookup = new PromptLookup();
    for (let token = 0; token < 100; token++) if (lookup.draft(recurring).length > 0) lookup.judge(4, 0);
    let drafts = 0;
    for (let token = 0; token < 100; token++) {
      if (lookup.draft(recurring).length === 0) continue;
      drafts += 1;
      lookup.judge(4, 4);
    }
    expect(drafts).toBeGreaterThan(60);
  });
});
