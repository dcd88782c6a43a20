import { describe, expect, it } from "vitest";
import { Ledger } from "../../../../edge/limits/ledger.ts";
import { explainRefusal } from "../../../../edge/limits/refusal.ts";
import type { Subject } from "../../../../edge/limits/subject.ts";
import { MemoryStore } from "./memory-store.ts";
import { endUserSubject, keySubject, projectSubject } from "./subjects.ts";

const NOW = Date.UTC(2026, 10, 30, 23, 50);

/** What the last of these requests is told, each of so many tokens. */
function refusalOf(subjects: Subject[], ...requests: number[]) {
  const ledger = new Ledger(new MemoryStore(), NOW);
  const answers = requests.map((tokens, index) => ledger.reserve({ id: String(index), subjects, tokens }, NOW));
  const last = answers.at(-1);
  if (last === undefined || last.allowed) throw new Error("it was admitted");
  const { error, headers } = explainRefusal(last.refusal, last.meters, requests.at(-1) ?? 0);
  return { code: error.code, status: error.status, message: error.message, headers };
}

describe("a refusal", () => {
  it("names whose limit it is and when it passes, and lets clients come again by themselves", () => {
    expect(refusalOf([keySubject({ requests_per_minute: 1 })], 0, 0)).toEqual({
      code: "rate_limit_exceeded",
      status: 429,
      message: "This key is limited to 1 requests per minute. Try again in 60 s.",
      headers: { "retry-after": "60", "retry-after-ms": "60000", "x-should-retry": "true" },
    });
    expect(refusalOf([projectSubject({ tokens_per_minute: 100 })], 70, 50).message).toBe(
      "This project is limited to 100 tokens per minute, 30 are left and this request may use 50. Try again in 60 s.",
    );
  });

  it("by what runs at a time asks to come again when something has ended", () => {
    const refused = refusalOf([endUserSubject({ concurrent_generations: 1 })], 5, 5);
    expect(refused.message).toBe(
      "This end user is limited to 1 generations at a time, and 1 are running. Try again when one of them has ended.",
    );
    expect(refused.headers).toMatchObject({ "retry-after": "1", "x-should-retry": "true" });
  });

  it("by the month's budget is told apart, and keeps clients from coming again every minute", () => {
    const refused = refusalOf([keySubject({ tokens_per_month: 100 })], 70, 50);
    expect(refused).toMatchObject({ code: "budget_exceeded", status: 429 });
    expect(refused.message).toMatch(/30 of its 100 tokens of this month left, and this request may use 50.*max_tokens/);
    expect(refused.headers).toEqual({ "retry-after": "600", "retry-after-ms": "600000", "x-should-retry": "false" });
  });

  it.each([
    [{ tokens_per_minute: 100 }, /limited to 100 per minute, so it can never succeed.*max_tokens/],
    [{ tokens_per_month: 100 }, /has 100 a month, so it can never succeed/],
    [{ concurrent_generations: 0 }, /may not generate anything/],
  ])("under %j for good names no time to come again", (limits, message) => {
    const refused = refusalOf([keySubject(limits)], 101);
    expect(refused.message).toMatch(message);
    expect(refused.headers).toEqual({ "x-should-retry": "false" });
  });
});
