import type { Logger } from "pino";
import { openAttributeModel } from "../model/attribute-model.ts";
import { openCheckpoint } from "../model/checkpoint.ts";
import { AnswerMeasurer } from "./answer-measurer.ts";
import { AttributeReader } from "./attribute-reader.ts";
import type { ServeOptions } from "./serve.ts";

/**
 * What answers are measured by. An attribute prediction model is looked at here, so that a wrong one is found out at the start, and loaded
 * when it is first asked for.
 *
 * @throws Error where the directory holds none, or it was trained on other weights
 */
export async function openMeasurer(
  { apm, model, threads, queue }: ServeOptions,
  logger: Logger,
): Promise<AnswerMeasurer> {
  if (apm === undefined) return new AnswerMeasurer(null);
  const { description, close } = await openAttributeModel(apm);
  await close();
  const { base, measured, attributes, text } = description;
  const checkpoint = await openCheckpoint(model);
  const hash = await checkpoint.contentHash().finally(checkpoint.close);
  if (base.sha256 !== hash) {
    throw new Error(`${apm} was trained on other weights than ${model} has, those of ${base.name}: leave --apm out.`);
  }
  const onFailure = (reason: string) => logger.error({ reason, apm }, "attribute prediction model lost");
  const reader = new AttributeReader({ setup: { model, apm, cores: threads }, waiting: queue, onFailure });
  return new AnswerMeasurer({ reader, predicted: attributes.map(({ name }) => name), measured, text });
}
