import type { Message } from "../../../schema/api/chat.ts";
import type { AttributeLevels, SteeringProfile } from "../../../schema/attributes.ts";
import type { EffectiveSteering } from "../../../schema/steering.ts";
import { type ChatTemplate, renderPrompt } from "../../model/chat-template.ts";
import type { Tokenizer } from "../../model/tokenizer.ts";

/**
 * The tokens that a reply follows, as serving makes them: the conversation, its label line where there are levels, and the head of the
 * answer.
 *
 * @param profile null where neither the reply nor a past answer may have a label line
 * @param method how the levels are told
 */
export function promptOf(
  tokenizer: Tokenizer,
  template: ChatTemplate,
  messages: readonly Message[],
  levels: AttributeLevels,
  profile: SteeringProfile | null,
  method: EffectiveSteering["method"] = profile === null ? "none" : "label_line",
): number[] {
  const steering = { effective: levels, method, preset: null, clamped: [], not_trained: [], note: null };
  return renderPrompt(tokenizer, template, { messages, steering, profile }).ids;
}
