import type { EffectiveSteering } from "../../schema/steering.ts";
import type { FinishReason } from "../engine/answer.ts";
import type { ContentLogprob } from "./openai-logprobs.ts";

/** What every frame and body of one answer repeats. */
export type AnswerHead = {
  generation: string;
  model: string;
  /** Unix seconds. */
  created: number;
  promptTokens: number;
  steering: EffectiveSteering;
  /** How each choice is steered, where they differ: each says so then, and the answer as a whole does not. */
  fanOut: readonly EffectiveSteering[] | null;
  /** `null`: the request named none, and so does the answer. */
  serviceTier: "default" | "flex" | null;
};

/** A piece of one choice's text. `logprobs` are of the tokens that it is from; `null` where they were not asked for. */
export type Piece = { index: number; text: string; logprobs: ContentLogprob[] | null };

/** Why a choice ended, as the answer says it: of itself, or because it is withheld. */
export type ChoiceEnding = FinishReason | "content_filter";

/** A finished choice. `logprobs` is `null` where they were not asked for. */
export type WholeChoice = {
  content: string;
  reason: ChoiceEnding;
  logprobs: ContentLogprob[] | null;
};
