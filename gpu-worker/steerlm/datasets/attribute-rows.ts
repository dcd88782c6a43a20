import { z } from "zod";
import { ATTRIBUTES, type Attribute } from "../../../schema/attributes.ts";
import type { Labels } from "../rounding.ts";
import { exchange, type Turn } from "./conversation.ts";
import { leftOut, type Outcome } from "./outcome.ts";
import { comparisonOf, conversationOf, type Format, has, rowFormat } from "./reader.ts";

/** HelpSteer writes turns before the last into the prompt, each after one of these. */
const TURN_MARKER = /<extra_id_1>(User|Assistant)\n/;

/** The turns of a prompt; one with markers begins with the user's first turn. */
function promptTurns(prompt: string): Turn[] {
  const [first = "", ...rest] = prompt.split(TURN_MARKER);
  const turns: Turn[] =
    first.trim() === "" && rest.length > 0 ? [] : [{ role: "user", text: rest.length > 0 ? first.trim() : first }];
  for (let at = 0; at < rest.length; at += 2) {
    turns.push({ role: rest[at] === "User" ? "user" : "assistant", text: (rest[at + 1] ?? "").trim() });
  }
  return turns;
}

const labelSchema = z
  .number({ error: "must be a number from 0 to 4" })
  .min(0, { error: "must be from 0 to 4" })
  .max(4, { error: "must be from 0 to 4" })
  .nullish();

const labelledSchema = z.object({
  prompt: z.string(),
  response: z.string(),
  quality: labelSchema,
  toxicity: labelSchema,
  humor: labelSchema,
  creativity: labelSchema,
  helpfulness: labelSchema,
  correctness: labelSchema,
  coherence: labelSchema,
  complexity: labelSchema,
  verbosity: labelSchema,
});

function labelsOf(row: z.infer<typeof labelledSchema>): Labels {
  const labels: Labels = {};
  for (const name of ATTRIBUTES) {
    const label = row[name];
    if (label !== undefined && label !== null) labels[name] = label;
  }
  return labels;
}

const isLabelled = (row: Record<string, unknown>) => ATTRIBUTES.some((name: Attribute) => name in row);

export const helpSteer: Format = rowFormat(
  {
    name: "helpsteer",
    holds: "HelpSteer and HelpSteer2: prompt, response, an integer 0–4 for each attribute",
    matches: (row) => has(row, "prompt", "response") && isLabelled(row),
  },
  labelledSchema,
  (row) => {
    const [, answer] = exchange(row.prompt, row.response, labelsOf(row));
    return answer === undefined ? [] : [conversationOf("helpsteer", [...promptTurns(row.prompt), answer])];
  },
);

const preferenceSchema = z.object({
  prompt: z.string(),
  response_1: z.string(),
  response_2: z.string(),
  preference_strength: z.number().min(-3).max(3),
});

export const helpSteerPreference: Format = rowFormat(
  {
    name: "helpsteer2-preference",
    holds: "HelpSteer2's preferences: prompt, response_1, response_2, preference_strength −3–3, below 0 for the first",
    matches: (row) => has(row, "prompt", "response_1", "response_2", "preference_strength"),
  },
  preferenceSchema,
  ({ prompt, response_1, response_2, preference_strength: strength }) =>
    comparisonOf(
      "helpsteer2-preference",
      {
        shared: promptTurns(prompt),
        answers: [response_1, response_2],
        preferred: strength === 0 ? null : strength < 0 ? 0 : 1,
      },
      { strength: Math.abs(strength) },
    ),
);

const promptResponseSchema = z.object({
  prompt: z.string(),
  response: z.string(),
  root_like: z.boolean().optional(),
});

export const promptResponse: Format = rowFormat(
  {
    name: "prompt-response",
    holds: "pairs without labels: prompt, response; root_like, if there, marks the surer ones",
    matches: (row) => has(row, "prompt", "response"),
  },
  promptResponseSchema,
  ({ prompt, response, root_like }, { rootLike }): Outcome[] =>
    rootLike && root_like === false
      ? [leftOut("not root-like")]
      : [conversationOf("prompt-response", exchange(prompt, response))],
);
