import { createMiddleware } from "hono/factory";
import { AttuneError } from "../schema/wire/errors.ts";
import type { Edge } from "./environment.ts";

/** Most headers of a request, and most characters of their names and values together. Browsers and Cloudflare add about 30 of 4 KiB. */
export const MOST_HEADERS = 128;
export const MOST_HEADER_CHARACTERS = 32_768;

/** Refuses what no client of this API has a use for, before anything is read, compared or looked up. */
export const limitHeaders = createMiddleware<Edge>(async (c, next) => {
  let count = 0;
  let characters = 0;
  c.req.raw.headers.forEach((value, name) => {
    count += 1;
    characters += name.length + value.length;
  });
  if (count <= MOST_HEADERS && characters <= MOST_HEADER_CHARACTERS) return next();
  throw new AttuneError(
    "headers_too_large",
    `The request has ${count} headers of ${characters} characters. At most ${MOST_HEADERS} of ${MOST_HEADER_CHARACTERS} are taken.`,
  );
});
