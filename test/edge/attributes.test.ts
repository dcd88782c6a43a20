import { describe, expect, it } from "vitest";
import { DEFAULT_SCOPES } from "../../schema/api/keys.ts";
import { calibrationSchema } from "../../schema/calibration.ts";
import { type Client, chat, clientFor, expectError, issueKey, seenBy } from "./project.ts";

const SCORE = "/v1/attributes/score";
const MATCH = "/v1/attributes/match";
const CHAT = "/v1/chat/completions";

type Columns = Parameters<typeof issueKey>[0];

/** A client of a new key, of the scopes that new keys have. */
const newClient = async (columns: Columns = {}): Promise<Client> =>
  clientFor(await issueKey({ scopes: DEFAULT_SCOPES.secret, ...columns }));

describe("POST /v1/attributes/score", () => {
  it("says what attributes each of several answers has, and how that is known", async () => {
    const call = await newClient();
    const messages = [{ role: "user", content: "What is a rainbow?" }];
    const response = await call(SCORE, { messages, answers: ["Light.", "It is light that raindrops bend."] });
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      object: "list",
      model: "steered",
      data: [1, 6].map((words, index) => ({
        object: "attribute_scores",
        index,
        attributes: {
          toxicity: { value: 0, level: 0, method: "apm", unit: "level" },
          helpfulness: { value: 3.2, level: 3, method: "apm", unit: "level" },
          verbosity: { value: words, level: index * 2, method: "rule", unit: "words" },
        },
        statistics: { words, sentences: 1, coleman_liau: 5, flesch_kincaid: 4 },
      })),
    });
    const one = await call(SCORE, { answer: "Light." });
    expect(await one.json()).toMatchObject({ data: [{ index: 0, statistics: { words: 1 } }] });
  });

  it.each([
    ["answer", {}, /give either answer or answers/],
    ["answer", { answer: "a", answers: ["b"] }, /give either answer or answers/],
    ["answer", { answer: "  " }, /a text of 1 to/],
    ["answers", { answers: Array.from({ length: 17 }, () => "a") }, /1 to 16 answers/],
    ["answers.1", { answers: ["a", "b".repeat(70_000)] }, /a text of 1 to 65536/],
    ["messages.0.role", { answer: "a", messages: [{ role: "tool", content: "" }] }, /must be system/],
  ])("with a wrong %s is a 400 that names it", async (param, body, message) => {
    await expectError(await (await newClient())(SCORE, body), 400, "invalid_request", message, param);
  });

  it("of a model that is not there, or not this key's, is refused", async () => {
    const call = await newClient({ models: ["plain"] });
    await expectError(
      await call(SCORE, { answer: "a", model: "steered" }),
      403,
      "permission_denied",
      /limited to plain/,
    );
    await expectError(await (await newClient())(SCORE, { answer: "a", model: "x" }), 404, "model_not_found", /steered/);
    expect(await (await call(SCORE, { answer: "a" })).json()).toMatchObject({ model: "plain" });
  });

  it("of a long conversation with many answers is refused with what to do, not as a broken worker", async () => {
    const messages = [{ role: "user", content: "word ".repeat(100_000) }];
    const response = await (await newClient())(SCORE, { messages, answers: Array(16).fill("a") });
    await expectError(response, 413, "request_too_large", /Send fewer answers/);
  });

  it("passes on that the worker is busy", async () => {
    await expectError(await (await newClient())(SCORE, { answer: "queue-full" }), 429, "queue_full", /queue is full/);
  });

  it("charges tokens where a model read them, not where rules counted", async () => {
    const left = async (call: Client, model: string) => {
      await call(SCORE, { answer: "word ".repeat(100), model });
      const response = await call("/v1/models");
      return Number(response.headers.get("x-ratelimit-remaining-tokens"));
    };
    const limits = { limits: { tokens: 1000 } };
    expect(await left(await newClient(limits), "plain")).toBe(1000);
    expect(await left(await newClient(limits), "steered")).toBeLessThan(900);
    const tooMuch = await (await newClient(limits))(SCORE, { answers: Array(10).fill("word ".repeat(100)) });
    await expectError(tooMuch, 429, "rate_limit_exceeded", /./);
  });
});

describe("the scope attributes", () => {
  it("is needed, is of new secret keys, and keys of before can chat and have answers measured without it", async () => {
    const old = clientFor(await issueKey({ scopes: ["chat", "models:read", "presets:read", "presets:write"] }));
    for (const path of [SCORE, MATCH]) {
      await expectError(await old(path, { answer: "a" }), 403, "permission_denied", /lacks the scope attributes/);
    }
    const { text, body } = chat("hello", { steer: { measure: true } });
    expect((await old(CHAT, body)).status).toBe(200);
    expect((await seenBy(text))?.request.measure).toBe(true);
    expect(DEFAULT_SCOPES.secret).toContain("attributes");
    expect(DEFAULT_SCOPES.publishable).not.toContain("attributes");
  });
});

describe("POST /v1/attributes/match", () => {
  it("gives the levels that such answers were measured to come from, and how sure that is", async () => {
    const call = await newClient();
    const response = await call(MATCH, { example: "It is light that many raindrops bend.", prompt: "A rainbow?" });
    expect(await response.json()).toEqual({
      object: "attribute_match",
      model: "steered",
      calibrated: true,
      // Seven words: what level 4 gives at strength 1, although they are level 3 by measure.
      steer: { attributes: { helpfulness: 3, verbosity: 4 }, strength: 1 },
      attributes: {
        toxicity: {
          measured: { value: 0, level: 0, method: "apm", unit: "level" },
          ...{ ask: null, expected: null, rho: expect.objectContaining({ value: 0.1 }) },
          note: expect.stringContaining("do not follow"),
        },
        helpfulness: {
          measured: { value: 3.2, level: 3, method: "apm", unit: "level" },
          ...{ ask: 3, expected: null, rho: null, note: expect.stringContaining("does not hold it") },
        },
        verbosity: {
          measured: { value: 7, level: 3, method: "rule", unit: "words" },
          ...{ ask: 4, expected: 7, rho: { value: 0.9, low: 0.8, high: 1, n: 20 }, note: null },
        },
      },
      statistics: { words: 7, sentences: 1, coleman_liau: 5, flesch_kincaid: 4 },
    });
  });

  it("gives the measured levels where the model has no calibration", async () => {
    const response = await (await newClient())(MATCH, {
      example: "It is light that many raindrops bend.",
      model: "plain",
    });
    expect(await response.json()).toMatchObject({
      calibrated: false,
      steer: { attributes: { toxicity: 0, helpfulness: 3, verbosity: 3 } },
      attributes: { verbosity: { ask: 3, expected: null, rho: null, note: null } },
    });
  });

  it("asks for nothing beyond the key's bounds, and for nothing that is locked", async () => {
    const call = await newClient({ bounds: { verbosity: { max: 3 }, helpfulness: { locked: 4 } } });
    const response = await call(MATCH, { example: "It is light that many raindrops bend." });
    expect(await response.json()).toMatchObject({
      steer: { attributes: { verbosity: 3 } },
      attributes: { helpfulness: { ask: null, note: expect.stringContaining("locks it") }, verbosity: { expected: 5 } },
    });
  });

  it("gives what a chat request takes as it is", async () => {
    const call = await newClient();
    const { steer } = await (await call(MATCH, { example: "It is light that bends." })).json<{ steer: object }>();
    expect((await call(CHAT, chat("hello", { steer }).body)).status).toBe(200);
  });
});

describe("GET /v1/models/{id}/calibration", () => {
  it("is the calibration as it lies in the adapter", async () => {
    const call = await newClient();
    const response = await call("/v1/models/steered/calibration");
    expect(calibrationSchema.parse(await response.json()).attributes.verbosity?.unit).toBe("words");
    expect(await (await call("/v1/models")).json()).toMatchObject({
      data: [{ calibrated: true }, { calibrated: false }],
    });
  });

  it("is a 404 that says so where there is none", async () => {
    const call = await newClient();
    await expectError(await call("/v1/models/plain/calibration"), 404, "not_found", /plain.*has no calibration/);
    await expectError(await call("/v1/models/x/calibration"), 404, "model_not_found", /steered, plain/);
  });

  it("is not for keys that may not know of the model", async () => {
    const call = await newClient({ models: ["plain"] });
    await expectError(await call("/v1/models/steered/calibration"), 403, "permission_denied", /limited to plain/);
  });
});

describe("steer.calibrated", () => {
  it("has the worker asked for what the calibration says, and the answer says what was wished", async () => {
    const call = await newClient();
    const { text, body } = chat("hello", { steer: { attributes: { verbosity: 3 }, calibrated: true } });
    const steering = {
      effective: { toxicity: 0, helpfulness: 4, verbosity: 4 },
      calibration: { verbosity: { wished: 3, asked: 4, expected: 7, unit: "words" } },
    };
    expect(await (await call(CHAT, body)).json()).toMatchObject({ steer: { ...steering, note: null } });
    expect((await seenBy(text))?.request.steering).toMatchObject(steering);
  });

  it.each(["strength", "against"])("beside steer.%s is a 400", async (field) => {
    const steer = { calibrated: true, [field]: field === "strength" ? 2 : { humor: 0 } };
    const response = await (await newClient())(CHAT, chat("hello", { steer }).body);
    await expectError(response, 400, "invalid_request", /calibration/, `steer.${field}`);
  });
});
