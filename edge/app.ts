import { Hono } from "hono";
import { cors } from "hono/cors";
import { methodNotAllowed } from "hono/method-not-allowed";
import { requestId } from "hono/request-id";
import { administrate } from "./admin/administrate.ts";
import { adminRoutes } from "./admin/routes.ts";
import { authenticate, requireScope } from "./auth/authenticate.ts";
import { openSession } from "./auth/sessions.ts";
import { randomBase62 } from "./base62.ts";
import type { Edge } from "./environment.ts";
import { answerError, answerMethodNotAllowed, answerNotFound } from "./errors.ts";
import { chatCompletions } from "./generations/chat.ts";
import { countRequest } from "./limits/admission.ts";
import { EXPOSED_HEADERS } from "./limits/headers.ts";
import { modelRoutes } from "./models/routes.ts";
import { presetRoutes } from "./presets/routes.ts";

/** What runs in which order. Pages at other paths are static assets and never come here. */
export const app = new Hono<Edge>();
const onlyKnownMethods = methodNotAllowed({ app, onMethodNotAllowed: answerMethodNotAllowed });

app.onError(answerError);
app.notFound(answerNotFound);

app.use(requestId({ limitLength: 128, generator: () => `req_${randomBase62(24)}` }));

// No CORS: no page of another origin administers.
app.use("/admin/v1/*", onlyKnownMethods);
app.use("/admin/v1/*", administrate);
app.route("/admin/v1", adminRoutes);

// A preflight names no key. Where a session's or a publishable key's page is known, the answer is for that page alone.
app.use("/v1/*", cors({ origin: "*", exposeHeaders: EXPOSED_HEADERS, maxAge: 86_400 }));
app.use("/v1/*", onlyKnownMethods);
// Checks its key and counts the request by itself: a publishable key opens nothing else.
app.post("/v1/sessions", openSession);
app.use("/v1/*", authenticate);

// Reserves its own tokens, once it knows how many.
app.post("/v1/chat/completions", requireScope("chat"), chatCompletions);

app.use("/v1/*", countRequest);
app.route("/v1/presets", presetRoutes);
app.route("/v1", modelRoutes);
