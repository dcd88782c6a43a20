import { invalidRequest } from "../../schema/wire/errors.ts";
import { type ScoreAnswer, scoreRequestSchema } from "../../schema/wire/score.ts";
import type { JudgedAnswer } from "../model/attribute-text.ts";
import type { AnswerMeasurer } from "./answer-measurer.ts";
import type { ModelHosts } from "./model-hosts.ts";

/**
 * Answers `POST /v1/score`.
 *
 * @param left gives it up, as when the connection was closed
 * @throws AttuneError `invalid_request`, `model_not_found`, and as `AttributeReader.read`
 */
export async function score(
  hosts: ModelHosts,
  measurer: AnswerMeasurer,
  body: unknown,
  left: AbortSignal,
): Promise<ScoreAnswer> {
  const parsed = scoreRequestSchema.safeParse(body);
  if (!parsed.success) throw invalidRequest(parsed.error);
  const { model, items } = parsed.data;
  const { profile } = hosts.find(model).model;
  const answers = items.map(({ messages, answer }): JudgedAnswer => ({ messages, answer }));
  return { predicted: measurer.predicts, data: await measurer.measure(answers, profile, left) };
}
