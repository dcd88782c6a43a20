import type { AttributeLevels } from "../../../schema/attributes.ts";
import { instructionInWords } from "../../model/instruction-in-words.ts";

const WORD = /[\p{L}\p{N}']+/gu;

/** Letters from which on a word alone betrays the instruction, and from which on two in a row do. Those of an instruction are few. */
const LONG = 9;
const TELLING = 4;

/**
 * Whether a reply repeats its instruction rather than follow it: three words of it in a row, two that are not short, or a long one. Guidance that
 * amplifies an instruction amplifies its words, too, and a model that learns from such replies learns to recite.
 *
 * @param lines levels that the reply was told in words, and those that it was steered away from
 */
export function isEcho(text: string, lines: readonly AttributeLevels[]): boolean {
  const said = new Set(runsOf(text));
  return lines.some((levels) => runsOf(instructionInWords(levels)).some((run) => said.has(run)));
}

function runsOf(text: string): string[] {
  const words = text.toLowerCase().match(WORD) ?? [];
  return words.flatMap((word, at) => {
    const [, second, third] = words.slice(at, at + 3);
    const runs: string[] = word.length >= LONG ? [word] : [];
    if (second === undefined) return runs;
    if (word.length >= TELLING && second.length >= TELLING) runs.push(`${word} ${second}`);
    if (third !== undefined) runs.push(`${word} ${second} ${third}`);
    return runs;
  });
}
