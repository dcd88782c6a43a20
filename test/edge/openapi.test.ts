import { expect, it } from "vitest";
import { app } from "../../edge/app.ts";
import { OPERATIONS } from "../../schema/openapi/document.ts";

/** As the document writes a route of Hono's: `{name}` for `:name`, whatever pattern it has. */
const documented = (path: string) => path.replace(/:(\w+)(\{[^}]*\})?/g, "{$1}").replace(/(.)\/$/, "$1");

it("the OpenAPI document describes every route that there is, and no other", () => {
  const routes = app.routes
    .filter(({ method }) => method !== "ALL")
    .map(({ method, path }) => `${method} ${documented(path)}`);
  const operations = OPERATIONS.map(({ method, path }) => `${method.toUpperCase()} ${path}`);
  expect(operations.toSorted()).toEqual([...new Set(routes)].sort());
});

it("names every operation once", () => {
  const ids = OPERATIONS.map(({ id }) => id);
  expect(ids).toEqual([...new Set(ids)]);
});
