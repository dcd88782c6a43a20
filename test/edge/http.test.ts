import { exports } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { BODY_LIMIT } from "../../edge/body.ts";
import { newProject, ORIGIN } from "./project.ts";

describe("every answer", () => {
  it("has a request id, the caller's own where it is sane", async () => {
    const call = await newProject();
    const idOf = async (id?: string) => {
      const headers: Record<string, string> = id === undefined ? {} : { "x-request-id": id };
      return (await call("/v1/models", undefined, { headers })).headers.get("x-request-id");
    };
    expect(await idOf()).toMatch(/^req_[0-9A-Za-z]{24}$/);
    expect(await idOf("trace-1_a")).toBe("trace-1_a");
    expect(await idOf('"><script>')).toMatch(/^req_/);
    expect(await idOf("a".repeat(129))).toMatch(/^req_/);
  });

  it("may be read by any page, rate limits and request id included", async () => {
    const preflight = await exports.default.fetch(`${ORIGIN}/v1/chat/completions`, {
      method: "OPTIONS",
      headers: {
        origin: "https://example.com",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
      },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-origin")).toBe("*");
    expect(preflight.headers.get("access-control-allow-headers")).toBe("authorization,content-type");
    expect(preflight.headers.has("access-control-allow-credentials")).toBe(false);

    const refused = await exports.default.fetch(`${ORIGIN}/v1/models`, { headers: { origin: "https://example.com" } });
    expect(refused.status).toBe(401);
    expect(refused.headers.get("access-control-allow-origin")).toBe("*");
    expect(refused.headers.get("access-control-expose-headers")).toContain("x-ratelimit-remaining-tokens");
    expect(refused.headers.get("access-control-expose-headers")).toContain("x-request-id");
  });
});

describe("a path or method that does not exist", () => {
  it("is a 404 in OpenAI's form", async () => {
    const call = await newProject();
    const response = await call("/v1/nothing");
    expect(response.status).toBe(404);
    expect(await response.json()).toEqual({
      error: {
        message: "There is no GET /v1/nothing here.",
        type: "invalid_request_error",
        param: null,
        code: "not_found",
      },
    });
  });

  it("is a 405 that says what there is", async () => {
    const call = await newProject();
    const response = await call("/v1/chat/completions");
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("POST");
    expect(await response.json()).toMatchObject({ error: { code: "method_not_allowed" } });
    const patch = await call("/v1/presets/tutor", {}, { method: "PATCH" });
    expect(patch.status).toBe(405);
    expect(patch.headers.get("allow")).toContain("PUT");
  });
});

describe("a body", () => {
  it.each(["", "{", "{'model': 1}", "\u0000"])("that is not JSON (%j) is a 400", async (body) => {
    const call = await newProject();
    const response = await call("/v1/chat/completions", undefined, { method: "POST", body });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code: "invalid_request", param: null } });
  });

  it("that is not UTF-8 is a 400, not silently altered", async () => {
    const call = await newProject();
    const bytes = new Uint8Array([...new TextEncoder().encode('{"model":"'), 0xff, ...new TextEncoder().encode('"}')]);
    const response = await call("/v1/chat/completions", undefined, { method: "POST", body: bytes });
    expect(await response.json()).toMatchObject({ error: { code: "invalid_request" } });
  });

  it("that is too large is a 413, whether or not it declares its length", async () => {
    const call = await newProject();
    const whole = new Uint8Array(BODY_LIMIT + 1).fill(32);
    const declared = await call("/v1/chat/completions", undefined, { method: "POST", body: whole });
    expect(declared.status).toBe(413);
    expect(await declared.json()).toMatchObject({ error: { code: "request_too_large" } });
    const streamed = await call("/v1/presets", undefined, { method: "POST", body: new Blob([whole]).stream() });
    expect(streamed.status).toBe(413);
  });
});
