import { Hono } from "hono";
import { matchBodySchema, type ScoreList, scoreBodySchema } from "../../schema/api/attributes.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import { permitScope } from "../auth/principal.ts";
import { parseBody } from "../body.ts";
import type { Edge } from "../environment.ts";
import { matchExample } from "./match.ts";
import { namedModel, scoreAnswers } from "./score-answers.ts";

/** What attributes finished answers have, and what to ask for to get such answers. */
export const attributeRoutes = new Hono<Edge>()
  .post("/score", async (c) =>
    scoreAnswers(
      c,
      async () => {
        permitScope(c.var.principal, "attributes");
        const { messages = [], answer, answers, model } = await parseBody(scoreBodySchema, c.req.raw);
        return {
          model: await namedModel(c, model),
          messages,
          answers: answers ?? (answer === undefined ? [] : [answer]),
        };
      },
      ({ data }, { model }): ScoreList => ({
        object: "list",
        model: model.id,
        data: data.map((scored, index) => ({ object: "attribute_scores", index, ...scored })),
      }),
    ),
  )
  .post("/match", async (c) =>
    scoreAnswers(
      c,
      async () => {
        permitScope(c.var.principal, "attributes");
        const { example, prompt, model } = await parseBody(matchBodySchema, c.req.raw);
        return {
          model: await namedModel(c, model),
          messages: prompt === undefined ? [] : [{ role: "user" as const, content: prompt }],
          answers: [example],
        };
      },
      ({ data: [scored] }, { model }) => {
        if (scored === undefined) throw new AttuneError("internal_error", "The worker measured nothing.");
        return matchExample(scored, model, c.var.principal.bounds);
      },
    ),
  );
