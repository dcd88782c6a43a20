import { Hono } from "hono";
import { cors } from "hono/cors";
import { methodNotAllowed } from "hono/method-not-allowed";
import { requestId } from "hono/request-id";
import { authenticate } from "./auth/authenticate.ts";
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

app.onError(answerError);
app.notFound(answerNotFound);

app.use(requestId({ limitLength: 128, generator: () => `req_${randomBase62(24)}` }));
app.use("/v1/*", cors({ origin: "*", exposeHeaders: EXPOSED_HEADERS, maxAge: 86_400 }));
app.use("/v1/*", methodNotAllowed({ app, onMethodNotAllowed: answerMethodNotAllowed }));
app.use("/v1/*", authenticate);

// Reserves its own tokens, once it knows how many.
app.post("/v1/chat/completions", chatCompletions);

app.use("/v1/*", countRequest);
app.route("/v1/presets", presetRoutes);
app.route("/v1", modelRoutes);
