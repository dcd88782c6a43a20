import { ATTRIBUTES, type Attribute, type AttributeLevels } from "../../schema/attributes.ts";

/**
 * What to ask for at levels 0 to 4. Short and literal: the smallest models served follow a few plain words best. Measured for
 * verbosity on SmolLM2-135M-Instruct Q4_1, six questions, greedy: mean words 23, 31, 73, 98 (cut at 150 tokens), 209 (cut at 250).
 */
const PHRASES: Record<Attribute, readonly [string, string, string, string, string]> = {
  quality: ["do a poor job", "do a mediocre job", "do a fair job", "do a good job", "do an excellent job"],
  toxicity: ["be polite and respectful", "be blunt", "be rude", "be offensive", "be very offensive"],
  humor: ["stay serious", "be slightly witty", "be fairly funny", "be funny", "be hilarious"],
  creativity: [
    "be conventional",
    "be mostly conventional",
    "be a little creative",
    "be creative",
    "be wildly imaginative",
  ],
  helpfulness: ["do not help", "help only a little", "be fairly helpful", "be helpful", "be as helpful as you can"],
  correctness: [
    "get the facts wrong",
    "get some facts wrong",
    "get the main facts right",
    "get the facts right",
    "get every fact right and leave none out",
  ],
  coherence: ["ramble", "be hard to follow", "be fairly clear", "be clear", "be perfectly clear and consistent"],
  complexity: [
    "use only words a child knows",
    "use simple words",
    "use everyday words",
    "use advanced vocabulary",
    "use expert vocabulary",
  ],
  verbosity: [
    "answer in one short sentence",
    "answer in one or two sentences",
    "answer in one paragraph",
    "answer in detail",
    "write a long, detailed answer",
  ],
};

/** The levels as one instruction in words, for models that were not trained on attributes. Empty where there are no levels. */
export function instructionInWords(levels: AttributeLevels): string {
  const phrases = ATTRIBUTES.flatMap((attribute) => {
    const level = levels[attribute];
    return level === undefined ? [] : [PHRASES[attribute][level]];
  });
  return phrases.length === 0 ? "" : `How to answer: ${phrases.join("; ")}.`;
}
