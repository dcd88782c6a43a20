import { z } from "zod";

/** The label that an answer's length suggests: intercept + slope · ln(1 + words), for a word more says less, the longer the answer. */
export const lengthLineSchema = z.strictObject({ intercept: z.number(), slope: z.number() });
export type LengthLine = z.infer<typeof lengthLineSchema>;

/** Length as it goes with labels. */
export const logWords = (words: number): number => Math.log(1 + words);

/** What an answer's length alone suggests. A model that does no better has learnt nothing else. */
export const predictByLength = ({ intercept, slope }: LengthLine, words: number): number =>
  intercept + slope * logWords(words);
