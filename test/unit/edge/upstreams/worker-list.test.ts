import { describe, expect, it } from "vitest";
import { parseWorkerList, regionOf } from "../../../../edge/upstreams/worker-list.ts";
import { AttuneError } from "../../../../schema/wire/errors.ts";

const causeOf = (env: { WORKERS?: string; WORKER_URL?: string }) => {
  try {
    parseWorkerList(env);
  } catch (error) {
    if (AttuneError.isInstance(error)) return { message: error.message, cause: String(error.cause) };
    throw error;
  }
  return null;
};

describe("the configured workers", () => {
  it("are the one of WORKER_URL, or all of WORKERS where that is set", () => {
    const one = { weight: 1, region: null, models: null };
    expect(parseWorkerList({ WORKER_URL: "http://127.0.0.1:8700/" })).toEqual([
      { origin: "http://127.0.0.1:8700", ...one },
    ]);
    const WORKERS = JSON.stringify([
      { url: "https://gpu-1.example" },
      { url: "https://gpu-2.example:8443", weight: 2.5, region: "EU", models: ["poet"] },
    ]);
    expect(parseWorkerList({ WORKERS, WORKER_URL: "http://ignored.example" })).toEqual([
      { origin: "https://gpu-1.example", ...one },
      { origin: "https://gpu-2.example:8443", weight: 2.5, region: "EU", models: ["poet"] },
    ]);
  });

  it.each([
    ["{", /WORKERS is not JSON/],
    ["{}", /WORKERS: must be a list/],
    ["[]", /WORKERS: must name at least one/],
    ['[{"url":"gpu-1"}]', /WORKERS\[0\]\.url: "gpu-1" is not an origin/],
    ['[{"url":"file:///etc/passwd"}]', /WORKERS\[0\]\.url/],
    ['[{"url":"https://gpu-1.example/path"}]', /WORKERS\[0\]\.url/],
    ['[{"url":"https://user:password@gpu-1.example"}]', /WORKERS\[0\]\.url/],
    [
      '[{"url":"https://a.example"},{"url":"https://a.example/"}]',
      /WORKERS\[1\]\.url: https:\/\/a\.example is named before/,
    ],
    ['[{"url":"https://a.example","weight":0}]', /WORKERS\[0\]\.weight/],
    ['[{"url":"https://a.example","region":"Europe"}]', /WORKERS\[0\]\.region: must be a continent/],
    ['[{"url":"https://a.example","models":[]}]', /WORKERS\[0\]\.models/],
    ['[{"url":"https://a.example","wieght":2}]', /WORKERS\[0\].*wieght/],
  ])("that are wrong, %s, say in the log what is", (WORKERS, cause) => {
    expect(causeOf({ WORKERS })?.cause).toMatch(cause);
  });

  it("tell a caller nothing of themselves when they are wrong", () => {
    expect(causeOf({ WORKER_URL: "gpu-1.internal" })).toEqual({
      message: expect.not.stringContaining("gpu-1"),
      cause: expect.stringMatching(/^WORKER_URL: "gpu-1.internal" is not an origin/),
    });
  });
});

describe("a caller's region", () => {
  it("is unknown outside Cloudflare", () => {
    expect(regionOf(new Request("https://attune.test"))).toBeNull();
  });
});
