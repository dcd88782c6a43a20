import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { app } from "../../edge/app.ts";
import { createKey } from "../../edge/auth/key.ts";
import { clientFor, issueKey, newProject, ORIGIN } from "./project.ts";

/** A database that must not be asked. */
const UNTOUCHABLE: D1Database = new Proxy(env.DB, {
  get() {
    throw new Error("the database was asked");
  },
});

async function listModels(headers: HeadersInit, database = env.DB): Promise<Response> {
  const request = new Request(`${ORIGIN}/v1/models`, { headers });
  return app.fetch(request, { ...env, DB: database }, createExecutionContext());
}

async function expectRefused(response: Response, message: RegExp): Promise<void> {
  expect(response.status).toBe(401);
  expect(response.headers.get("www-authenticate")).toBe("Bearer");
  expect(await response.json()).toEqual({
    error: {
      message: expect.stringMatching(message),
      type: "authentication_error",
      param: null,
      code: "invalid_api_key",
    },
  });
}

describe("a secret key", () => {
  it("opens the API", async () => {
    const call = await newProject();
    expect((await call("/v1/models")).status).toBe(200);
  });

  it("is required, on every route", async () => {
    await expectRefused(await listModels({}), /No API key was sent.*Authorization: Bearer/);
    for (const path of ["/v1/chat/completions", "/v1/presets", "/v1/presets/x", "/v1/attributes", "/v1/nothing"]) {
      const response = await app.fetch(new Request(ORIGIN + path), env, createExecutionContext());
      expect(response.status, path).toBe(401);
    }
  });

  it.each(["Basic dXNlcjpwYXNz", "Bearer", "Bearer a b", createKey("sk_test")])(
    "is expected as a Bearer token, not as %j",
    async (authorization) => {
      await expectRefused(await listModels({ authorization }), /must read `Bearer sk_/);
    },
  );

  it("with another form is refused before the database is asked", async () => {
    await expectRefused(await listModels({ authorization: "Bearer sk-openai" }, UNTOUCHABLE), /malformed/);
  });

  it("with a typo is refused before the database is asked", async () => {
    const key = createKey("sk_test");
    const typo = key.slice(0, -1) + (key.endsWith("0") ? "1" : "0");
    await expectRefused(await listModels({ authorization: `Bearer ${typo}` }, UNTOUCHABLE), /typo/);
  });

  it("that nobody was given is refused, and guessing again does not reach the database", async () => {
    const authorization = `Bearer ${createKey("sk_live")}`;
    await expectRefused(await listModels({ authorization }), /not known/);
    await expectRefused(await listModels({ authorization }, UNTOUCHABLE), /not known/);
  });

  it("that was revoked is refused", async () => {
    const key = await issueKey({ revokedAt: 1_700_000_000 });
    await expectRefused(await clientFor(key)("/v1/models"), /revoked/);
  });

  it("is looked up once, then remembered for a while", async () => {
    const key = await issueKey();
    expect((await listModels({ authorization: `Bearer ${key}` })).status).toBe(200);
    expect((await listModels({ authorization: `bearer ${key}` }, UNTOUCHABLE)).status).toBe(200);
  });

  it("is never repeated in an error, nor anything else of the server's", async () => {
    const key = createKey("sk_test");
    const bodies = await Promise.all(
      [`Bearer ${key}`, `Bearer ${key}x`, key].map(async (authorization) =>
        (await listModels({ authorization })).text(),
      ),
    );
    const failing = await listModels({ authorization: `Bearer ${createKey("sk_test")}` }, UNTOUCHABLE);
    expect(failing.status).toBe(500);
    for (const body of [...bodies, await failing.text()]) {
      expect(body).not.toContain(key);
      expect(body).not.toContain(env.KEY_PEPPER);
      expect(body).not.toContain("the database was asked");
    }
  });
});
