import { describe, expect, it } from "vitest";
import { chat, clientFor, issueKey, newProject, seenBy } from "./project.ts";

/** The same request in each dialect but OpenAI's chat completions. */
const DIALECTS = [
  {
    path: "/v1/responses",
    dialect: "responses",
    bodyOf: (text: string, fields: object) => ({ model: "steered", input: text, max_output_tokens: 50, ...fields }),
  },
  {
    path: "/v1/chat/ui",
    dialect: "ui-message",
    bodyOf: (text: string, fields: object) => {
      const messages = [{ id: "u1", role: "user", parts: [{ type: "text", text }] }];
      return { model: "steered", id: "c1", trigger: "submit-message", messages, max_tokens: 50, ...fields };
    },
  },
];

describe.each(DIALECTS)("a request to $path", ({ path, dialect, bodyOf }) => {
  it("is the worker's to answer in its dialect, steered as a chat completion is", async () => {
    const call = await newProject();
    const preset = { slug: "tutor", persona: "You are a tutor.", bounds: { verbosity: { max: 2 } } };
    await call("/v1/presets", preset);
    const { text } = chat("hello");
    const steer = { attributes: { verbosity: 4 } };
    await call(path, bodyOf(text, { model: "steered@tutor", steer, stream: true, seed: 7 }));
    expect((await seenBy(text))?.request).toMatchObject({
      dialect,
      model: "steered",
      messages: [
        { role: "system", content: "You are a tutor." },
        { role: "user", content: text },
      ],
      steering: { effective: { verbosity: 2 }, preset: { slug: "tutor" }, clamped: [{ attribute: "verbosity" }] },
      sampling: { seed: 7, max_tokens: 50 },
      n: 1,
      stream: true,
    });
  });

  it("that is wrong counts as a request all the same", async () => {
    const call = await newProject({ requests: 2 });
    const statuses = [];
    for (let count = 0; count < 3; count += 1) statuses.push((await call(path, { model: "steered" })).status);
    expect(statuses).toEqual([400, 400, 429]);
  });

  it("needs the scope chat", async () => {
    const call = clientFor(await issueKey({ scopes: ["models:read"] }));
    expect((await call(path, bodyOf("hello", {}))).status).toBe(403);
  });

  it("reserves its tokens and is charged what it used", async () => {
    const call = await newProject({ tokens: 1000 });
    const { text } = chat("hello");
    await (await call(path, bodyOf(text, { stream: true }))).text();
    const remaining = async () => Number((await call("/v1/models")).headers.get("x-ratelimit-remaining-tokens"));
    await expect.poll(remaining).toBe(1000 - 3 - 5);
    const refused = await call(path, bodyOf(text, { max_tokens: 2000, max_output_tokens: 2000 }));
    expect(refused.status).toBe(429);
  });

  it("refuses in OpenAI's form where the worker does", async () => {
    const call = await newProject();
    const response = await call(path, bodyOf(chat("queue-full").text, { stream: true }));
    expect([response.status, response.headers.get("retry-after")]).toEqual([429, "3"]);
    expect(await response.json()).toMatchObject({ error: { code: "queue_full" } });
  });
});

describe("a stream that the worker breaks off", () => {
  const endOf = async (path: string, body: object) => {
    const response = await (await newProject())(path, body);
    return (await response.text()).split("\n\n").slice(-3).join("\n\n");
  };
  const message = "The inference worker broke off. The answer is incomplete; try again.";

  it("of a response ends in an error event with the next number", async () => {
    const body = { model: "steered", input: chat("dies").text, stream: true };
    const [, event = "", data = ""] = /event: (.*)\ndata: (.*)\n\n$/.exec(await endOf("/v1/responses", body)) ?? [];
    expect(event).toBe("error");
    const error = { message, type: "server_error", param: null, code: "generation_failed" };
    expect(JSON.parse(data)).toEqual({ type: "error", sequence_number: 3, error });
  });

  it("of a UI message ends in an error part", async () => {
    const messages = [{ role: "user", parts: [{ type: "text", text: chat("dies").text }] }];
    const end = await endOf("/v1/chat/ui", { model: "steered", messages });
    expect(end).toBe(`data: ${JSON.stringify({ type: "error", errorText: message })}\n\ndata: [DONE]\n\n`);
  });
});
