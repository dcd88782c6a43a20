import { Hono } from "hono";
import { methodNotAllowed } from "hono/method-not-allowed";
import { requestId } from "hono/request-id";
import { administrate } from "./admin/administrate.ts";
import { adminRoutes } from "./admin/routes.ts";
import { attributeRoutes } from "./attributes/routes.ts";
import { authenticate } from "./auth/authenticate.ts";
import { openSession } from "./auth/sessions.ts";
import { randomBase62 } from "./base62.ts";
import { allowPages } from "./cors.ts";
import type { Edge } from "./environment.ts";
import { answerError, answerMethodNotAllowed, answerNotFound } from "./errors.ts";
import { answerIn } from "./generations/chat.ts";
import { CHAT_COMPLETIONS } from "./generations/dialect.ts";
import { generationRoutes } from "./generations/routes.ts";
import { limitHeaders } from "./headers.ts";
import { countRequest } from "./limits/admission.ts";
import { limitRoutes } from "./limits/routes.ts";
import { modelRoutes } from "./models/routes.ts";
import { observe } from "./observability/observe.ts";
import { presetRoutes } from "./presets/routes.ts";
import { RESPONSES } from "./responses/dialect.ts";
import { UI_MESSAGES } from "./ui-messages/dialect.ts";
import { usageRoutes } from "./usage/routes.ts";

/** What runs in which order. Pages at other paths are static assets and never come here. */
export const app = new Hono<Edge>();
const onlyKnownMethods = methodNotAllowed({ app, onMethodNotAllowed: answerMethodNotAllowed });

app.onError(answerError);
app.notFound(answerNotFound);

app.use(requestId({ limitLength: 128, generator: () => `req_${randomBase62(24)}` }));
app.use(observe);
app.use(limitHeaders);

// No CORS: no page of another origin administers.
app.use("/admin/v1/*", onlyKnownMethods);
app.use("/admin/v1/*", administrate);
app.route("/admin/v1", adminRoutes);

app.use("/v1/*", allowPages);
app.use("/v1/*", onlyKnownMethods);
// Checks its key and counts the request by itself: a publishable key opens nothing else.
app.post("/v1/sessions", openSession);
app.use("/v1/*", authenticate);

// These reserve their own tokens, once they know how many, and count what they refuse too.
app.post("/v1/chat/completions", answerIn(CHAT_COMPLETIONS));
app.post("/v1/responses", answerIn(RESPONSES));
app.post("/v1/chat/ui", answerIn(UI_MESSAGES));
app.route("/v1/attributes", attributeRoutes);

app.use("/v1/*", countRequest);
app.route("/v1/generations", generationRoutes);
app.route("/v1/limits", limitRoutes);
app.route("/v1/presets", presetRoutes);
app.route("/v1/usage", usageRoutes);
app.route("/v1", modelRoutes);
