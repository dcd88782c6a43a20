import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, inject, it, vi } from "vitest";
import { app } from "../../edge/app.ts";
import type { Received } from "./collected.ts";
import { chat, issueKey, ORIGIN } from "./project.ts";

const CHAT = "/v1/chat/completions";
const CALLER = "00f067aa0ba902b7";

const newTraceId = () => crypto.randomUUID().replaceAll("-", "");

/** The errors that were logged. */
let errors: string[] = [];
beforeEach(() => {
  errors = [];
  vi.spyOn(console, "log").mockImplementation(() => {});
  vi.spyOn(console, "error").mockImplementation((line) => void errors.push(String(line)));
});
afterEach(() => vi.restoreAllMocks());

/** Asks for an answer and has the request exported; returns its status once all is done. */
async function ask(body: object, headers: Record<string, string>, bindings: Partial<Cloudflare.Env>): Promise<number> {
  const init = {
    method: "POST",
    body: JSON.stringify(body),
    headers: { authorization: `Bearer ${await issueKey()}`, ...headers },
  };
  const context = createExecutionContext();
  const response = await app.fetch(new Request(ORIGIN + CHAT, init), { ...env, ...bindings }, context);
  await response.text();
  await waitOnExecutionContext(context);
  return response.status;
}

const OTLP_ENDPOINT = inject("collectorUrl");

/** What the collector was sent that has spans of this trace. */
async function readTrace(trace: string): Promise<Received[]> {
  return (await fetch(`${OTLP_ENDPOINT}/received?trace=${trace}`)).json();
}

describe("the export of spans", () => {
  it("sends a well-formed trace of a generation: the request, its phases, and what the model used", async () => {
    const trace = newTraceId();
    const { text, body } = chat("hello", { stream: true });
    const headers = { traceparent: `00-${trace}-${CALLER}-01`, tracestate: "rojo=1", "x-request-id": "req_traced" };
    expect(await ask(body, headers, { OTLP_ENDPOINT, OTLP_HEADERS: "authorization=Bearer%20a%2Cb,x-team=edge" })).toBe(
      200,
    );
    const [received] = await readTrace(trace);
    expect(received?.headers).toMatchObject({
      "content-type": "application/json",
      authorization: "Bearer a,b",
      "x-team": "edge",
    });
    const spans = received?.spans ?? [];
    const [own, ...phases] = spans;
    expect(own).toMatchObject({
      traceId: trace,
      parentSpanId: CALLER,
      traceState: "rojo=1",
      name: `POST ${CHAT}`,
      kind: 2,
      status: {},
      attributes: expect.arrayContaining([
        { key: "http.request.method", value: { stringValue: "POST" } },
        { key: "http.route", value: { stringValue: CHAT } },
        { key: "http.response.status_code", value: { intValue: "200" } },
        { key: "attune.request_id", value: { stringValue: "req_traced" } },
      ]),
    });
    expect(phases.map(({ name }) => name)).toEqual(["auth", "plan", "limits", "chat steered"]);
    expect(phases.every(({ traceId, parentSpanId }) => traceId === trace && parentSpanId === own?.spanId)).toBe(true);
    expect(phases.at(-1)).toMatchObject({
      kind: 3,
      status: {},
      attributes: expect.arrayContaining([
        { key: "gen_ai.operation.name", value: { stringValue: "chat" } },
        { key: "gen_ai.request.model", value: { stringValue: "steered" } },
        { key: "gen_ai.usage.input_tokens", value: { intValue: "3" } },
        { key: "gen_ai.usage.output_tokens", value: { intValue: "5" } },
        { key: "attune.generation.state", value: { stringValue: "completed" } },
      ]),
    });
    expect(received?.body).not.toContain(text);
    expect(received?.body).not.toContain("Grüß");
  });

  it("marks what failed on this side as an error", async () => {
    const trace = newTraceId();
    const status = await ask(chat("explodes").body, { traceparent: `00-${trace}-${CALLER}-01` }, { OTLP_ENDPOINT });
    expect(status).toBe(503);
    const [own, ...phases] = (await readTrace(trace))[0]?.spans ?? [];
    const unavailable = { key: "error.type", value: { stringValue: "worker_unavailable" } };
    for (const span of [own, phases.at(-1)]) {
      expect(span).toMatchObject({ status: { code: 2 }, attributes: expect.arrayContaining([unavailable]) });
    }
  });

  it("leaves out a trace whose caller does not record it, and everything where no collector is named", async () => {
    const [unrecorded, off] = [newTraceId(), newTraceId()];
    await ask(chat("hello").body, { traceparent: `00-${unrecorded}-${CALLER}-00` }, { OTLP_ENDPOINT });
    await ask(chat("hello").body, { traceparent: `00-${off}-${CALLER}-01` }, {});
    expect(await readTrace(unrecorded)).toEqual([]);
    expect(await readTrace(off)).toEqual([]);
  });

  it("sends what requests leave behind at the same time together", async () => {
    const traces = Array.from({ length: 5 }, newTraceId);
    await Promise.all(
      traces.map((trace) => ask(chat("hello").body, { traceparent: `00-${trace}-${CALLER}-01` }, { OTLP_ENDPOINT })),
    );
    const bodies = await Promise.all(traces.map(async (trace) => (await readTrace(trace))[0]?.body));
    expect(bodies.every((body) => body !== undefined)).toBe(true);
    expect(new Set(bodies).size).toBeLessThan(5);
  });

  it.each([
    ["refuses", `${OTLP_ENDPOINT}/elsewhere`, "answered 404"],
    ["is not there", "http://127.0.0.1:1", expect.any(String)],
    ["is no address", "nonsense", expect.any(String)],
  ])(
    "is dropped where the collector %s, with one line in the log and no harm to the answer",
    async (_, endpoint, reason) => {
      const bindings = { OTLP_ENDPOINT: endpoint, OTLP_HEADERS: "authorization=a-secret" };
      expect(await ask(chat("hello").body, {}, bindings)).toBe(200);
      expect(errors.map((line) => JSON.parse(line))).toEqual([{ event: "spans_dropped", spans: 5, reason }]);
      expect(errors.join()).not.toContain("a-secret");
    },
  );

  it("never delays an answer", async () => {
    const init = {
      method: "POST",
      body: JSON.stringify(chat("hello").body),
      headers: { authorization: `Bearer ${await issueKey()}` },
    };
    const context = createExecutionContext();
    const trace = newTraceId();
    const headers = { ...init.headers, traceparent: `00-${trace}-${CALLER}-01` };
    const request = new Request(ORIGIN + CHAT, { ...init, headers });
    const response = await app.fetch(request, { ...env, OTLP_ENDPOINT }, context);
    expect(await response.json()).toMatchObject({ object: "chat.completion" });
    expect(await readTrace(trace)).toEqual([]);
    await waitOnExecutionContext(context);
    expect(await readTrace(trace)).toHaveLength(1);
  });
});
