import { z } from "zod";
import {
  type CreateDocumentOptions,
  createDocument,
  type ZodOpenApiOperationObject,
  type ZodOpenApiResponseObject,
} from "zod-openapi";
import { aliasSchema, referenceSchema, slugSchema } from "../api/preset-reference.ts";
import { attributeLevelsSchema, boundsSchema, levelSchema, requestedLevelsSchema } from "../attributes.ts";
import { AttuneError, type ErrorCode, errorBodySchema } from "../wire/errors.ts";
import { adminOperations } from "./admin.ts";
import { attributeOperations } from "./attributes.ts";
import { chatOperations } from "./chat.ts";
import { describeCodes, ERROR_CODES, errorsByStatus } from "./errors.ts";
import { generationOperations } from "./generations.ts";
import { limitOperations } from "./limits.ts";
import { modelOperations } from "./models.ts";
import { type Access, type Answer, type Operation, ROOMS } from "./operation.ts";
import { presetOperations } from "./presets.ts";
import { named } from "./schemas.ts";
import { sessionOperations } from "./sessions.ts";
import { usageOperations } from "./usage.ts";

/** All that the API can be asked to do. */
export const OPERATIONS: readonly Operation[] = [
  ...chatOperations,
  ...generationOperations,
  ...attributeOperations,
  ...modelOperations,
  ...presetOperations,
  ...limitOperations,
  ...usageOperations,
  ...sessionOperations,
  ...adminOperations,
];

named("Level", levelSchema, "An attribute's value, 0–4.");
named("AttributeLevels", attributeLevelsSchema, "Levels for any subset of the attributes.");
named("RequestedLevels", requestedLevelsSchema, "A level for each attribute that matters; `null` leaves one out.");
named("Bounds", boundsSchema, "How far attributes may go: `{min, max}`, or `{locked}` to one level.");
const errorSchema = errorBodySchema.extend({
  error: errorBodySchema.shape.error.extend({ code: z.enum(ERROR_CODES) }),
});
named("Error", errorSchema, "OpenAI's form. `message` says what to do next, `param` names the field that is wrong.");

const pathParameter = (description: string, schema: z.ZodType = z.string().min(1)) => schema.meta({ description });
const PATH_PARAMETERS: Record<string, z.ZodType> = {
  id: pathParameter("What its own `id` says."),
  slug: pathParameter("The preset's slug.", slugSchema),
  version: pathParameter("A number, an alias, `latest` or `draft`.", referenceSchema),
  alias: pathParameter("A name of one of the preset's versions.", aliasSchema),
  project: pathParameter("The project's id."),
  key: pathParameter("The key's id."),
};

const ACCESS: Record<"any" | "publishable" | "administrator" | "admin_token", string> = {
  any: "Any secret key or session.",
  publishable: "A publishable key.",
  administrator: "The server's `ADMIN_TOKEN`, or a key with the scope `admin` for its own project.",
  admin_token: "The server's `ADMIN_TOKEN`.",
};

/** What every answer says in its headers, each where there is something to say. */
const HEADERS: Record<string, string> = {
  "x-request-id": "What the logs call the request; send your own to choose it.",
  ratelimit: "How each limit stands (IETF draft).",
  "ratelimit-policy": "What the limits are (IETF draft).",
  "x-ratelimit-limit-requests": "The tightest limit of requests in 60 s.",
  "x-ratelimit-remaining-requests": "What is left of it.",
  "x-ratelimit-reset-requests": "When all of it is free again, as `6m0s`.",
  "x-ratelimit-limit-tokens": "The tightest limit of tokens in 60 s.",
  "x-ratelimit-remaining-tokens": "What is left of it.",
  "x-ratelimit-reset-tokens": "When all of it is free again.",
  "retry-after": "Seconds until another try may succeed.",
  "retry-after-ms": "The same in milliseconds.",
  traceresponse: "The trace that the request is part of (W3C).",
  "server-timing": "How long what took.",
  "x-should-retry": "`false`: another try does not help.",
};
const RETRY_STATUSES = [429, 503];

const header = (description: string) => ({ description, schema: { type: "string" as const } });
const headersOf = (status: number) =>
  Object.fromEntries(
    Object.keys(HEADERS)
      .filter((name) => RETRY_STATUSES.includes(status) || !/retry/.test(name))
      .map((name) => [name, { $ref: `#/components/headers/${name}` }]),
  );

function describeAccess(access: Access): string {
  if (access === "any" || access === "publishable" || access === "administrator" || access === "admin_token") {
    return ACCESS[access];
  }
  return `A secret key or session with the scope \`${access}\`.`;
}

const eventSchemas = new WeakSet<z.ZodType>();

/** An event of a stream, whose `data` is this as JSON. */
function eventOf(data: z.ZodType): z.ZodType {
  const schema = z.looseObject({ id: z.string().optional(), event: z.string().optional(), data });
  eventSchemas.add(schema);
  return schema;
}

function toResponse(
  status: number,
  { description, json, events, headers = {}, example }: Answer,
): ZodOpenApiResponseObject {
  const own = Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, header(text)]));
  return {
    description: [description, events?.description].filter((text) => text !== undefined).join("\n\n"),
    headers: { ...headersOf(status), ...own },
    ...((json ?? events) !== undefined && {
      content: {
        ...(json !== undefined && { "application/json": { schema: json, ...(example !== undefined && { example }) } }),
        ...(events !== undefined && { "text/event-stream": { schema: eventOf(events.data) } }),
      },
    }),
  };
}

/** What an operation answers under a status of errors: the codes that it may be. */
function toErrorResponse(status: number, codes: readonly ErrorCode[]): ZodOpenApiResponseObject {
  const [first] = codes;
  const code = z.literal([...codes]);
  const schema = errorBodySchema.extend({ error: errorSchema.shape.error.extend({ code }) });
  return {
    id: `${status}.${codes.join(".")}`,
    description: describeCodes(codes),
    headers: headersOf(status),
    content: {
      "application/json": {
        schema,
        example:
          first === undefined ? undefined : new AttuneError(first, "What happened, and what to do next.").toBody(),
      },
    },
  };
}

function toOperation(operation: Operation, errorResponse: typeof toErrorResponse): ZodOpenApiOperationObject {
  const { id, room, summary, description, access, path, query, headers, body, answers } = operation;
  const names = Array.from(path.matchAll(/\{(\w+)\}/g), ([, name = ""]) => name);
  const parameters = Object.fromEntries(names.map((name) => [name, PATH_PARAMETERS[name] ?? pathParameter(name)]));
  return {
    operationId: id,
    tags: [room],
    summary,
    description: [description, `Needs: ${describeAccess(access)}`].filter((text) => text !== undefined).join("\n\n"),
    requestParams: {
      ...(names.length > 0 && { path: z.object(parameters) }),
      ...(query !== undefined && { query }),
      ...(headers !== undefined && { header: headers }),
    },
    ...(body !== undefined && {
      requestBody: {
        required: body.required ?? true,
        content: { "application/json": { schema: body.schema, examples: body.examples } },
      },
    }),
    responses: {
      ...Object.fromEntries(
        Object.entries(answers).map(([status, answer]) => [status, toResponse(Number(status), answer)]),
      ),
      ...Object.fromEntries(
        Array.from(errorsByStatus(operation), ([status, codes]) => [status, errorResponse(status, codes)]),
      ),
    },
  };
}

type Override = NonNullable<CreateDocumentOptions["override"]>;

/** The data of an event is a text, which is JSON but where it ends a stream of chat completions. */
const wrapData: Override = ({ zodSchema, jsonSchema }) => {
  if (!(zodSchema instanceof z.ZodType) || !eventSchemas.has(zodSchema) || jsonSchema.properties === undefined) return;
  const { data: contentSchema } = jsonSchema.properties;
  if (typeof contentSchema !== "object") return;
  jsonSchema.properties.data = {
    type: "string",
    anyOf: [{ const: "[DONE]" }, { contentMediaType: "application/json", contentSchema }],
  };
};

/** zod describes a map with some of the attributes as a map with any names; here they are its properties. */
const nameProperties: Override = ({ jsonSchema }) => {
  const { propertyNames, additionalProperties } = jsonSchema;
  if (typeof propertyNames !== "object" || propertyNames.enum === undefined) return;
  if (typeof additionalProperties !== "object") return;
  const names = propertyNames.enum.map(String);
  jsonSchema.properties = Object.fromEntries(names.map((name) => [name, { ...additionalProperties }]));
  jsonSchema.additionalProperties = false;
  delete jsonSchema.propertyNames;
};

/** The OpenAPI 3.1 document of the whole API. */
export function buildDocument(version: string) {
  const responses = new Map<string, ZodOpenApiResponseObject>();
  const shared: typeof toErrorResponse = (status, codes) => {
    const made = toErrorResponse(status, codes);
    const key = made.id ?? "";
    const response = responses.get(key) ?? made;
    responses.set(key, response);
    return response;
  };
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {};
  for (const operation of OPERATIONS) {
    paths[operation.path] = { ...paths[operation.path], [operation.method]: toOperation(operation, shared) };
  }
  return createDocument(
    {
      openapi: "3.1.1",
      info: {
        title: "Attune",
        version,
        description:
          "A chat API whose answers the caller steers: nine attributes, 0–4, on every request. " +
          "Compatible with OpenAI's chat completions and Responses.",
        license: { name: "Apache-2.0", identifier: "Apache-2.0" },
      },
      servers: [{ url: "/", description: "This server" }],
      tags: Object.entries(ROOMS).map(([name, description]) => ({ name, description })),
      security: [{ bearer: [] }],
      paths,
      components: {
        schemas: { Error: errorSchema },
        headers: Object.fromEntries(Object.entries(HEADERS).map(([name, text]) => [name, header(text)])),
        securitySchemes: {
          bearer: {
            type: "http",
            scheme: "bearer",
            description:
              "A secret key (`sk_…`), a session's token, a publishable key (`pk_…`) to open one, or the server's `ADMIN_TOKEN`.",
          },
        },
      },
    },
    {
      override: (context) => {
        wrapData(context);
        nameProperties(context);
      },
    },
  );
}
