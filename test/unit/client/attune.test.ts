import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import { Attune, AttuneError } from "../../../client/attune.ts";
import { listen } from "../../fixtures/listen.ts";

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const open = new Set<Server>();
afterEach(() => {
  for (const server of open) {
    server.close();
    server.closeAllConnections();
  }
  open.clear();
});

/** A server that answers one request after the other as scripted, the last answer again and again; with a client of it. */
async function scripted(...answers: Answer[]) {
  const seen: { method: string; url: string; headers: IncomingMessage["headers"]; body: string }[] = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const piece of request.setEncoding("utf8")) body += piece;
    const { method = "", url = "", headers } = request;
    seen.push({ method, url, headers, body });
    answers[Math.min(seen.length, answers.length) - 1]?.(request, response);
  });
  const url = await listen(server);
  open.add(server);
  return { seen, url, attune: new Attune({ apiKey: "sk_test_x", baseURL: `${url}/v1/` }) };
}

const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Answer =>
  (_, response) =>
    void response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));

const refusal = (status: number, code: string, headers: Record<string, string> = {}) =>
  json(status, { error: { message: `Because of ${code}.`, type: "t", param: "model", code } }, headers);

const stream =
  (...frames: unknown[]): Answer =>
  (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream", "x-request-id": "req_1" });
    response.write(": hb\n\n");
    response.end(frames.map((frame, index) => `id: gen_1:${index}:1\ndata: ${JSON.stringify(frame)}\n\n`).join(""));
  };

const AT_ONCE = { "retry-after-ms": "1" };
const limits = { object: "limits", subjects: [] };
const asked = { model: "tiny", messages: [{ role: "user" as const, content: "Hello" }] };

describe("a request", () => {
  it("names its key, and fills path and query", async () => {
    const { attune, seen } = await scripted(json(200, { object: "list", data: [], has_more: false }));
    await attune.request("get", "/admin/v1/projects/{project}/keys", {
      path: { project: "a/b" },
      query: { limit: 2 },
    });
    expect(seen).toMatchObject([
      { method: "GET", url: "/admin/v1/projects/a%2Fb/keys?limit=2", headers: { authorization: "Bearer sk_test_x" } },
    ]);
  });

  it("asks for the key before each try", async () => {
    const { url, seen } = await scripted(refusal(503, "worker_unavailable", AT_ONCE), json(200, limits));
    let count = 0;
    await new Attune({ baseURL: url, apiKey: () => `session-${++count}` }).limits.get();
    expect(seen.map(({ headers }) => headers.authorization)).toEqual(["Bearer session-1", "Bearer session-2"]);
  });

  it("that is refused says why", async () => {
    const { attune } = await scripted(refusal(404, "model_not_found", { "x-request-id": "req_7" }));
    const thrown = await attune.models.get("gpt-4").catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(AttuneError);
    expect(thrown).toMatchObject({
      message: "Because of model_not_found.",
      ...{ status: 404, code: "model_not_found", param: "model", requestId: "req_7" },
    });
  });

  it("to what is not Attune says so", async () => {
    const { attune } = await scripted((_, response) => void response.writeHead(404).end("<h1>Not found</h1>"));
    await expect(attune.limits.get()).rejects.toMatchObject({ status: 404, code: "unreadable" });
  });

  it("needs an address", () => {
    expect(() => new Attune({ apiKey: "k", baseURL: "api.example.com" })).toThrow(/no address/);
  });

  it("to nobody says so", async () => {
    const attune = new Attune({ apiKey: "k", baseURL: "http://127.0.0.1:1", maxRetries: 0 });
    await expect(attune.limits.get()).rejects.toMatchObject({ code: "connection_failed", status: null });
  });
});

describe("a failed request", () => {
  it("is made again when the server says, and no more often than asked", async () => {
    const { attune, seen } = await scripted(refusal(429, "rate_limit_exceeded", AT_ONCE));
    await expect(attune.limits.get()).rejects.toMatchObject({ status: 429 });
    expect(seen.length).toBe(3);
    await expect(attune.limits.get({ maxRetries: 0 })).rejects.toMatchObject({ status: 429 });
    expect(seen.length).toBe(4);
  });

  it.each([
    ["it cannot help", { "x-should-retry": "false", ...AT_ONCE }],
    ["the wait is long", { "retry-after": "3600" }],
  ])("is not made again where %s", async (_, headers) => {
    const { attune, seen } = await scripted(refusal(429, "budget_exceeded", headers));
    await expect(attune.limits.get()).rejects.toMatchObject({ code: "budget_exceeded" });
    expect(seen.length).toBe(1);
  });

  it("that may have done something is made again only where twice does no harm", async () => {
    const failure = refusal(500, "internal_error", AT_ONCE);
    const { attune, seen } = await scripted(failure);
    await expect(attune.presets.create({ slug: "tutor" })).rejects.toMatchObject({ status: 500 });
    expect(seen.length).toBe(1);
    await expect(attune.chat.create(asked)).rejects.toMatchObject({ status: 500 });
    expect(seen.length).toBe(4);
  });

  it("can be given up while it waits", async () => {
    const controller = new AbortController();
    const { attune } = await scripted((request, response) => {
      refusal(503, "worker_unavailable", { "retry-after": "30" })(request, response);
      response.once("close", () => controller.abort(new Error("enough")));
    });
    await expect(attune.limits.get({ signal: controller.signal })).rejects.toThrow("enough");
  });
});

describe("a stream", () => {
  const chunk = (delta: object, more: object = {}, choice: object = {}) => ({
    ...{ id: "gen_1", object: "chat.completion.chunk", created: 1, model: "tiny" },
    choices: [{ index: 0, delta, finish_reason: null, ...choice }],
    ...more,
  });

  it("gives its chunks, and says what they come to", async () => {
    const steer = { effective: { verbosity: 1 } };
    const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };
    const { attune } = await scripted((_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      const frames = [
        chunk({ role: "assistant", content: "" }),
        chunk({ content: "Grüß" }),
        chunk({ content: " dich" }),
        chunk({}, { steer }, { finish_reason: "stop" }),
        { ...chunk({}), choices: [], usage },
      ];
      response.end(`${frames.map((frame) => `data: ${JSON.stringify(frame)}\n\n`).join("")}data: [DONE]\n\n`);
    });
    const answer = await attune.chat.stream(asked);
    const texts: string[] = [];
    for await (const text of answer.texts()) texts.push(text);
    expect(texts).toEqual(["Grüß", " dich"]);
    expect(answer).toMatchObject({ text: "Grüß dich", id: "gen_1", steer, usage });
    expect(answer.choices).toEqual([{ text: "Grüß dich", finish_reason: "stop", steer }]);
  });

  it("that fails half-way throws what the server says, and keeps what came", async () => {
    const error = { message: "The worker failed.", type: "server_error", param: null, code: "generation_failed" };
    const { attune } = await scripted(stream(chunk({ content: "Gr" }), { error }));
    const answer = await attune.chat.stream(asked);
    await expect(answer.finished()).rejects.toMatchObject({ code: "generation_failed", requestId: "req_1" });
    expect(answer).toMatchObject({ text: "Gr", lastEventId: "gen_1:1:1" });
  });

  it.each(["ends", "breaks"])("that %s before its end throws", async (how) => {
    const { attune } = await scripted((_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(`data: ${JSON.stringify(chunk({ content: "Gr" }))}\n\n`, () =>
        how === "ends" ? response.end() : response.destroy(),
      );
    });
    await expect((await attune.chat.stream(asked)).finished()).rejects.toMatchObject({ code: "broken_off" });
  });

  it("that is left closes the connection", async () => {
    const closed = Promise.withResolvers<void>();
    const { attune } = await scripted((_, response) => {
      response.once("close", () => closed.resolve());
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(`data: ${JSON.stringify(chunk({ content: "Gr" }))}\n\n`);
    });
    for await (const _ of await attune.chat.stream(asked)) break;
    await closed.promise;
  });

  it("that is aborted throws the abort's reason", async () => {
    const controller = new AbortController();
    const { attune } = await scripted((_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(`data: ${JSON.stringify(chunk({ content: "Gr" }))}\n\n`);
    });
    const answer = await attune.chat.stream(asked, { signal: controller.signal });
    const reading = (async () => {
      for await (const _ of answer) controller.abort(new Error("enough"));
    })();
    await expect(reading).rejects.toThrow("enough");
  });
});
