import { z } from "zod";
import type { Turn } from "./conversation.ts";
import { BadRow, comparisonOf, type Format, has, rowFormat } from "./reader.ts";

const SPEAKER = /\n\n(Human|Assistant): ?/;

/**
 * The turns of `\n\nHuman: …\n\nAssistant: …`. The transcripts sometimes let one speaker begin twice; such turns are joined.
 *
 * @throws BadRow where the text begins with something else
 */
function transcriptTurns(transcript: string): Turn[] {
  const [before = "", ...parts] = transcript.split(SPEAKER);
  if (before.trim() !== "" || parts.length === 0) throw new BadRow('a transcript begins with "\\n\\nHuman:"');
  const turns: Turn[] = [];
  for (let at = 0; at < parts.length; at += 2) {
    const role = parts[at] === "Human" ? "user" : "assistant";
    const text = (parts[at + 1] ?? "").trim();
    const last = turns.at(-1);
    if (last?.role === role) last.text = `${last.text}\n\n${text}`.trim();
    else turns.push({ role, text });
  }
  return turns;
}

const hhSchema = z.object({ chosen: z.string(), rejected: z.string() });

export const hhRlhf: Format = rowFormat(
  {
    name: "hh-rlhf",
    holds: "Anthropic's HH: chosen and rejected, two transcripts that differ in the last answer",
    matches: (row) => typeof row.chosen === "string" && typeof row.rejected === "string" && !has(row, "prompt"),
  },
  hhSchema,
  (row) => {
    const chosen = transcriptTurns(row.chosen);
    const rejected = transcriptTurns(row.rejected);
    const answers = [chosen.pop(), rejected.pop()];
    const [better, worse] = answers;
    if (better?.role !== "assistant" || worse?.role !== "assistant")
      throw new BadRow("a transcript must end with an answer");
    // A few pairs differ earlier on; each side then keeps its own turns.
    const same = JSON.stringify(chosen) === JSON.stringify(rejected);
    const pair = comparisonOf("hh-rlhf", { shared: chosen, answers: [better.text, worse.text], preferred: 0 });
    if (same) return pair;
    return pair.map((outcome, side) =>
      outcome.kind === "conversation" && side === 1
        ? {
            ...outcome,
            conversation: { ...outcome.conversation, turns: [...rejected, ...outcome.conversation.turns.slice(-1)] },
          }
        : outcome,
    );
  },
);
