import { describe, expect, test } from "vitest";
import { BrokenConnection, HttpError, retryAfter } from "../../../gpu-worker/model/http-error.ts";
import { patiently } from "../../../gpu-worker/model/patience.ts";

const NEVER = new AbortController().signal;

/** Fails with each of `errors`, then succeeds; tells what was waited for. */
async function tried(errors: unknown[]) {
  const waits: number[] = [];
  const sleep = async (milliseconds: number) => void waits.push(milliseconds);
  const rest = errors.values();
  const work = async () => {
    const { value, done } = rest.next();
    if (done !== true) throw value;
  };
  const outcome = await patiently(work, { delays: [10, 20], longest: 5000, sleep }, NEVER).catch((error) => error);
  return { waits, outcome };
}

const answered = (status: number, headers = {}) => new HttpError(new Response(null, { status, headers }));

describe("a failure", () => {
  test("that may pass is tried again, each time after a longer wait, and in the end told", async () => {
    const last = answered(503);
    expect(await tried([answered(500), new BrokenConnection("reset")])).toEqual({
      waits: [10, 20],
      outcome: undefined,
    });
    expect(await tried([answered(429), answered(502), last])).toEqual({ waits: [10, 20], outcome: last });
  });

  test("is tried again when the server says, unless that is too long", async () => {
    expect(await tried([answered(429, { "retry-after": "3" })])).toEqual({ waits: [3000], outcome: undefined });
    const long = answered(429, { "retry-after": "6" });
    expect(await tried([long])).toEqual({ waits: [], outcome: long });
  });

  test("that will not pass is told at once", async () => {
    for (const error of [answered(404), answered(401), new Error("another size")]) {
      expect(await tried([error])).toEqual({ waits: [], outcome: error });
    }
  });
});

describe("when to ask again", () => {
  const wait = (headers: Record<string, string>) => retryAfter(new Headers(headers), Date.UTC(2026, 0, 1));

  test("is read as seconds, as a date, or from the hub's own header", () => {
    expect(wait({ "retry-after": "7" })).toBe(7000);
    expect(wait({ "retry-after": "Thu, 01 Jan 2026 00:00:30 GMT" })).toBe(30_000);
    expect(wait({ "retry-after": "Wed, 31 Dec 2025 00:00:00 GMT" })).toBe(0);
    expect(wait({ ratelimit: '"api";r=0;t=55' })).toBe(55_000);
  });

  test("is unknown where nothing is said, or there is something left", () => {
    expect(wait({})).toBeNull();
    expect(wait({ "retry-after": "soon" })).toBeNull();
    expect(wait({ ratelimit: '"api";r=12;t=55' })).toBeNull();
  });
});
