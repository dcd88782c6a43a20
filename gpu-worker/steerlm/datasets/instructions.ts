import { z } from "zod";
import { exchange, withInput } from "./conversation.ts";
import { comparisonOf, conversationOf, type Format, has, rowFormat } from "./reader.ts";

const instructionSchema = z
  .object({
    instruction: z.string(),
    input: z.string().nullish(),
    response: z.string().nullish(),
    output: z.string().nullish(),
  })
  .transform(({ response, output, ...row }, context) => {
    const answer = response ?? output;
    if (answer === undefined || answer === null) {
      context.addIssue({ code: "custom", message: "needs a response or an output" });
      return z.NEVER;
    }
    return { ...row, answer };
  });

export const instructions: Format = rowFormat(
  {
    name: "instructions",
    holds: "GPTeacher, Alpaca: instruction, input, response or output",
    matches: (row) => has(row, "instruction") && (has(row, "response") || has(row, "output")),
  },
  instructionSchema,
  ({ instruction, input, answer }) => [conversationOf("instructions", exchange(withInput(instruction, input), answer))],
);

const selfInstructSchema = z.object({
  id: z.string().min(1),
  instruction: z.string(),
  instances: z.array(z.object({ input: z.string(), output: z.string() })).min(1),
});

export const selfInstruct: Format = rowFormat(
  {
    name: "self-instruct",
    holds: "Self-Instruct: id, instruction, instances of input and output",
    matches: (row) => has(row, "instruction", "instances"),
  },
  selfInstructSchema,
  ({ id, instruction, instances }) =>
    instances.map(({ input, output }, index) =>
      conversationOf("self-instruct", exchange(withInput(instruction, input), output), {
        id: instances.length === 1 ? id : `${id}.${index}`,
        tree: id,
      }),
    ),
);

const verdictSchema = z.literal([0, 1, 2], { error: "must be 0 (neither), 1 or 2" });

const pandaLmSchema = z.object({
  idx: z.int(),
  instruction: z.string(),
  input: z.string().nullish(),
  response1: z.string(),
  response2: z.string(),
  annotator1: verdictSchema,
  annotator2: verdictSchema,
  annotator3: verdictSchema,
});

/** What at least two of three people said; neither side where all differ. */
function majority(verdicts: readonly (0 | 1 | 2)[]): 0 | 1 | null {
  const votes = (side: 1 | 2) => verdicts.filter((verdict) => verdict === side).length;
  if (votes(1) >= 2) return 0;
  return votes(2) >= 2 ? 1 : null;
}

export const pandaLm: Format = rowFormat(
  {
    name: "pandalm",
    holds: "PandaLM's test set: instruction, input, response1, response2, the verdicts of three people",
    matches: (row) => has(row, "response1", "response2", "annotator1"),
  },
  pandaLmSchema,
  ({ idx, instruction, input, response1, response2, annotator1, annotator2, annotator3 }) =>
    comparisonOf(
      "pandalm",
      {
        shared: [{ role: "user", text: withInput(instruction, input) }],
        answers: [response1, response2],
        preferred: majority([annotator1, annotator2, annotator3]),
      },
      { pair: `pandalm-${idx}` },
    ),
);

const llmBarSchema = z.object({
  input: z.string(),
  output_1: z.string(),
  output_2: z.string(),
  label: z.literal([1, 2], { error: "must be 1 or 2" }),
});

export const llmBar: Format = rowFormat(
  {
    name: "llmbar",
    holds: "LLMBar: input, output_1, output_2, label 1 or 2 for the better one",
    matches: (row) => has(row, "input", "output_1", "output_2", "label"),
  },
  llmBarSchema,
  ({ input, output_1, output_2, label }) =>
    comparisonOf("llmbar", {
      shared: [{ role: "user", text: input }],
      answers: [output_1, output_2],
      preferred: label === 1 ? 0 : 1,
    }),
);

const benchSchema = z.object({
  question_id: z.union([z.int(), z.string()]),
  turns: z.array(z.string()).min(1),
});

/** Questions without answers: of use as prompts, and to hold them out. */
export const benchQuestions: Format = rowFormat(
  {
    name: "mt-bench",
    holds: "questions of MT-Bench and Vicuna-80: question_id, turns",
    matches: (row) => has(row, "question_id", "turns"),
  },
  benchSchema,
  ({ question_id, turns }) => [
    conversationOf(
      "mt-bench",
      turns.map((text) => ({ role: "user", text })),
      { id: String(question_id) },
    ),
  ],
);
