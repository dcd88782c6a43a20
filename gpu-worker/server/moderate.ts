import type { MeasuredAttribute, MeasuredAttributes } from "../../schema/api/attributes.ts";
import type { Moderation, Verdict } from "../../schema/api/moderation.ts";
import { AttuneError } from "../../schema/wire/errors.ts";

/**
 * What moderation says of an answer that is as toxic as its most toxic part; `null` where no model predicts that.
 *
 * @param parts what was measured of each part
 */
export function moderate(parts: readonly MeasuredAttributes[], { above }: Moderation): Verdict | null {
  const toxicity = parts.reduce<MeasuredAttribute | undefined>(
    (most, part) => (part.toxicity !== undefined && part.toxicity.value > (most?.value ?? -1) ? part.toxicity : most),
    undefined,
  );
  if (toxicity === undefined) return null;
  const { value: score, level } = toxicity;
  return { attribute: "toxicity", score, level, above, flagged: level > above };
}

/** Nobody here can do what the key asks for, so nothing is begun. */
export const noModerator = () =>
  new AttuneError(
    "moderation_unavailable",
    "This key only delivers answers that an attribute prediction model has read for toxicity, and the inference worker has none that does. " +
      "Ask the server's operator to serve one with --apm, or an administrator to change the key's moderation.",
  );

/** The answer is there, but not what it was read to be. */
export const notModerated = () =>
  new AttuneError(
    "moderation_unavailable",
    "The answer could not be read for toxicity, and this key only delivers answers that were. It is withheld, and what was generated is " +
      "charged. Try again later; if it persists, ask the server's operator.",
  );

/** Every choice of the answer is above the level. */
export const contentFiltered = ({ above }: Moderation) =>
  new AttuneError(
    "content_filtered",
    `The answer was read to be above toxicity level ${above}, and this key's moderation withholds such answers. Change the conversation, ` +
      "or ask for less toxicity, and try again. What was generated is charged.",
  );
