import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import { beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { EventParser } from "../../client/events.ts";
import { OPERATIONS } from "../../schema/openapi/document.ts";
import type { Operation } from "../../schema/openapi/operation.ts";
import { tinyStack } from "./tiny-stack.ts";

const stack = tinyStack();

const mediaSchema = z.looseObject({ schema: z.unknown() });
const responseSchema = z.looseObject({
  content: z.record(z.string(), mediaSchema).optional(),
  $ref: z.string().optional(),
});
const documentSchema = z.looseObject({
  paths: z.record(z.string(), z.record(z.string(), z.looseObject({ responses: z.record(z.string(), responseSchema) }))),
});

const EVENTS = "text/event-stream";
/** Where the schema of an event has that of its data as JSON. */
const EVENT_DATA = "/properties/data/anyOf/1/contentSchema";

/** What the server says that it answers, as it serves it, and whether something is that. */
async function servedDocument() {
  const response = await fetch(`${stack.edge().url}/openapi.json`);
  const document: unknown = await response.json();
  const { paths } = documentSchema.parse(document);
  const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
  ajv.addSchema({ ...documentSchema.parse(document) }, "document");
  const escaped = (key: string) => key.replaceAll("~", "~0").replaceAll("/", "~1");
  return {
    response,
    document,
    /** Why this is nothing that the operation answers with the status in this form, or as the data of its events; empty where it is. */
    misfits({ path, method }: Operation, status: number, media: string, value: unknown): unknown[] {
      const answer = paths[path]?.[method]?.responses[status];
      if (answer === undefined) return [`${method} ${path} has no status ${status}`];
      const place = answer.$ref ?? `#/paths/${escaped(path)}/${method}/responses/${status}`;
      const schema = { $ref: `document${place}/content/${escaped(media)}/schema${media === EVENTS ? EVENT_DATA : ""}` };
      const validate = ajv.compile(schema);
      return validate(value) ? [] : [{ value }, ...(validate.errors ?? [])];
    },
  };
}
let served: Awaited<ReturnType<typeof servedDocument>>;
beforeAll(async () => {
  served = await servedDocument();
});

/** Parameters of paths, and credentials, as earlier requests made them. */
const known = { generation: "", project: "", key: "", publishable: "" };

function fill({ path }: Operation): string {
  const values: Record<string, string> = {
    id: path.startsWith("/v1/models") ? "tiny" : known.generation,
    slug: "tutor",
    alias: "stable",
    version: "latest",
    project: known.project,
    key: known.key,
  };
  const query = /\/usage$/.test(path) ? "?from=2026-01-01&to=2026-01-31" : "";
  return path.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? "") + query;
}

function tokenOf({ access }: Operation): string {
  if (access === "admin_token" || access === "administrator") return stack.edge().adminToken;
  return access === "publishable" ? known.publishable : stack.key();
}

/** Sends what the document shows as an example; the model it names is the one that is served here. */
async function send(operation: Operation, body: unknown): Promise<Response> {
  const text = JSON.stringify(body)?.replaceAll("smollm2-135m", "tiny");
  return fetch(stack.edge().url + fill(operation), {
    method: operation.method.toUpperCase(),
    headers: { authorization: `Bearer ${tokenOf(operation)}`, origin: "https://shop.example.com" },
    ...(text !== undefined && { body: text }),
  });
}

/** Reads an answer, and says what about it the document does not. */
async function check(operation: Operation, response: Response): Promise<unknown[]> {
  const media = response.headers.get("content-type")?.split(";")[0] ?? "";
  const text = await response.text();
  if (media !== EVENTS) return served.misfits(operation, response.status, media, JSON.parse(text));
  const events = new EventParser().push(text).filter(({ data }) => data !== "[DONE]");
  if (events.length === 0) return ["no events"];
  return events.flatMap(({ data }) => served.misfits(operation, response.status, media, JSON.parse(data)));
}

const idSchema = z.object({ id: z.string(), secret: z.string().optional(), kind: z.string().optional() });

/** What later requests need of this answer. */
async function remember({ id }: Operation, response: Response): Promise<void> {
  if (id !== "createProject" && id !== "createKey") return;
  const made = idSchema.parse(await response.json());
  if (id === "createProject") known.project = made.id;
  else if (made.kind === "publishable") known.publishable = made.secret ?? "";
  else known.key = made.id;
}

/** What makes things first, what deletes them last, the innermost before what it is in. */
const isAdmin = ({ path }: Operation) => path.startsWith("/admin");
const inOrder = [
  ...OPERATIONS.filter(isAdmin).sort((a, b) => a.path.length - b.path.length),
  ...OPERATIONS.filter((operation) => !isAdmin(operation) && operation.method !== "delete"),
  ...OPERATIONS.filter(({ method }) => method === "delete").sort((a, b) => b.path.length - a.path.length),
];

/** What this server has nothing of, and says so. */
const REFUSED: Record<string, number> = { getCalibration: 404, readGeneration: 400 };

describe("the OpenAPI document", () => {
  it("is served to anybody, and is a valid one", async () => {
    expect(served.response.status).toBe(200);
    expect(served.response.headers.get("access-control-allow-origin")).toBe("*");
    const { valid, errors } = await new Validator().validate(z.looseObject({}).parse(served.document));
    expect(errors).toBeUndefined();
    expect(valid).toBe(true);
  });

  it("shows examples that work, and says what every operation answers to them", async () => {
    const kept = {
      model: "tiny",
      messages: [{ role: "user", content: "Hello" }],
      max_tokens: 4,
      stream: true,
      store: true,
    };
    const [chat] = OPERATIONS.filter(({ id }) => id === "createChatCompletion");
    if (chat === undefined) throw new Error("There is no chat");
    const stored = await send(chat, kept);
    known.generation = stored.headers.get("x-generation-id") ?? "";
    await stored.text();

    for (const operation of inOrder) {
      const bodies = Object.values(operation.body?.examples ?? { none: { value: undefined } });
      for (const { value } of bodies) {
        const response = await send(operation, value);
        await remember(operation, response.clone());
        expect({ operation: operation.id, misfits: await check(operation, response) }).toEqual({
          operation: operation.id,
          misfits: [],
        });
        expect([operation.id, REFUSED[operation.id] ?? "ok"]).toEqual([
          operation.id,
          response.ok ? "ok" : response.status,
        ]);
      }
    }
  });

  it("says how each is refused without a key", async () => {
    for (const operation of OPERATIONS) {
      const method = operation.method.toUpperCase();
      const response = await fetch(stack.edge().url + fill(operation), { method });
      expect([operation.id, response.status]).toEqual([operation.id, 401]);
      expect(await check(operation, response)).toEqual([]);
    }
  });
});
