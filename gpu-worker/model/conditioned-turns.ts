import type { Message } from "../../schema/api/chat.ts";
import { levelsOfThese, type SteeringProfile } from "../../schema/attributes.ts";
import type { EffectiveSteering } from "../../schema/steering.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import { instructionInWords } from "./instruction-in-words.ts";
import { labelLine } from "./label-line.ts";

/** One turn as a chat template gets it. `attributes` is the turn that holds a label line. */
export type Turn = { role: "system" | "user" | "assistant" | "attributes"; content: string };

export type Conversation = {
  messages: readonly Message[];
  steering: EffectiveSteering;
  /** The served model's profile; `null` where it was not trained on attributes. */
  profile: SteeringProfile | null;
};

/**
 * The conversation with its steering in place, by the method the edge chose:
 *
 * - `label_line`: an `attributes` turn right before the answer, and one right before each past answer that says what it was
 *   asked to be (DESIGN §5). A turn with nothing to say is left out. Of a profile whose template is `words` the label line is the
 *   instruction below, of the attributes that it lists, and past answers have none.
 * - `words`: the instruction after a blank line at the end of the last user message, so that a model's own default system prompt
 *   stays and everything before the last message is a shared prefix. It is also obeyed better there than in the system message
 *   (SmolLM2-135M, six questions, greedy, mean words at verbosity 1 and 4: 31 and 209 against 39 and 184). A conversation without
 *   a user message gets one.
 * - `none`: nothing.
 *
 * @throws AttuneError `invalid_request` where a label line is asked for and the model has no profile
 */
export function conditionedTurns({ messages, steering, profile }: Conversation): Turn[] {
  switch (steering.method) {
    case "none":
      return messages.map(toTurn);
    case "words":
      return withInstruction(messages.map(toTurn), instructionInWords(steering.effective));
    case "label_line": {
      if (profile === null) {
        throw new AttuneError("invalid_request", "This model was not trained on attributes; steer it in words.");
      }
      if (profile.template === "words") {
        const trained = profile.attributes.map(({ name }) => name);
        return withInstruction(messages.map(toTurn), instructionInWords(levelsOfThese(steering.effective, trained)));
      }
      const past = messages.flatMap((message) => [
        ...(message.role === "assistant" ? attributesTurn(message.steer?.attributes ?? {}, profile) : []),
        toTurn(message),
      ]);
      return [...past, ...attributesTurn(steering.effective, profile)];
    }
  }
}

const toTurn = ({ role, content }: Message): Turn => ({ role, content });

function attributesTurn(levels: Parameters<typeof labelLine>[0], profile: SteeringProfile): Turn[] {
  const content = labelLine(levels, profile);
  return content === "" ? [] : [{ role: "attributes", content }];
}

function withInstruction(turns: Turn[], instruction: string): Turn[] {
  if (instruction === "") return turns;
  const last = turns.findLastIndex((turn) => turn.role === "user");
  if (last === -1) return [...turns, { role: "user", content: instruction }];
  return turns.map((turn, index) =>
    index === last
      ? { ...turn, content: turn.content === "" ? instruction : `${turn.content}\n\n${instruction}` }
      : turn,
  );
}
