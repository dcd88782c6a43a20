import type { Attribute } from "../../../schema/attributes.ts";

/** A reply after its prompt, and after another one that begins alike. All three lists go with `tokens`. */
export type Example = {
  tokens: number[];
  weights: number[];
  inReply: boolean[];
  /** The reply under a label line that is not its own, from where the two prompts part. */
  other: { focus: Attribute; fork: number; tokens: number[]; weights: number[]; inReply: boolean[] } | null;
};

/** A reply with what it follows. Only the reply is learnt. */
export function exampleOf(
  prompt: readonly number[],
  reply: { tokens: readonly number[]; weights: readonly number[] },
  other: { focus: Attribute; prompt: readonly number[] } | null,
): Example {
  const given = prompt.map(() => 0);
  const own = {
    tokens: [...prompt, ...reply.tokens],
    weights: [...given, ...reply.weights],
    inReply: [...given.map(() => false), ...reply.tokens.map(() => true)],
  };
  if (other === null) return { ...own, other };
  const fork = commonPrefix(prompt, other.prompt);
  const tokens = [...other.prompt.slice(fork), ...reply.tokens];
  const from = other.prompt.length - fork;
  return {
    ...own,
    other: {
      focus: other.focus,
      fork,
      tokens,
      weights: tokens.map(() => 0),
      inReply: tokens.map((_, index) => index >= from),
    },
  };
}

/** Tokens that both begin with. */
function commonPrefix(a: readonly number[], b: readonly number[]): number {
  const different = a.findIndex((token, index) => token !== b[index]);
  return different === -1 ? a.length : different;
}

/** Tokens that are computed for an example. */
export const exampleLength = ({ tokens, other }: Example): number => tokens.length + (other?.tokens.length ?? 0);
