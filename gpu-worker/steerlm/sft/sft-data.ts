import { createHash } from "node:crypto";
import { ATTRIBUTES, type Attribute, LEVELS, levelsOfThese, type SteeringProfile } from "../../../schema/attributes.ts";
import type { ChatTemplate } from "../../model/chat-template.ts";
import { openCheckpoint } from "../../model/checkpoint.ts";
import { readProfile } from "../../model/steering-profile.ts";
import type { Tokenizer } from "../../model/tokenizer.ts";
import { readingOf } from "../reading-options.ts";
import { seededDraws } from "../training/seeded-draws.ts";
import { shuffledLevels } from "./label-draw.ts";
import { profileOfData } from "./profile-of-data.ts";
import { readRows } from "./read-rows.ts";
import type { SftRow } from "./row.ts";
import type { SftFlags } from "./sft-flags.ts";

/** What a model is trained on, and how its text becomes tokens. `hash`: of all that is in the rows, and of the profile. */
export type SftData = {
  rows: SftRow[];
  profile: SteeringProfile;
  tokenizer: Tokenizer;
  template: ChatTemplate;
  hash: string;
};

const END_MARKER = "<|im_end|>";

/**
 * Reads what is to be trained.
 *
 * @param model path of the base weights
 * @throws Error that says what to do, where a file cannot be read, nothing in them can be trained, or the model's chats are not ChatML;
 *   the signal's reason once it is aborted
 */
export async function readSftData(
  files: readonly string[],
  { keep: _keep, dropAll: _dropAll, ...flags }: SftFlags,
  model: string,
  signal: AbortSignal,
): Promise<SftData> {
  const { tokenizer, template } = await textPartsOf(model);
  const endMarker = tokenizer.markerIds.get(END_MARKER);
  if (endMarker === undefined) {
    throw new Error(`${model} has no ${END_MARKER} token. Conditioned SFT needs a model whose chats are ChatML.`);
  }
  // Labels are dropped anew each time a reply is drawn, not once when it is read.
  const reading = await readingOf(files, flags, signal);
  const { maxReply, maxPrompt, sentenceEnd } = flags;
  const lastOnly = flags.threads === "replies";
  const read = await readRows(reading, {
    ...{ tokenizer, template, endMarker },
    ...{ lastOnly, maxReply, maxPrompt, sentenceEnd },
  });
  const profile = await profileFor(read, flags);
  const names = profile.attributes.map(({ name }) => name);
  const known = read.map((row) => ({ ...row, levels: levelsOfThese(row.levels, names) }));
  const rows = flags.shuffleLabels ? shuffledLevels(known, seededDraws(`${flags.seed}:shuffle`)) : known;
  return { rows, profile, tokenizer, template, hash: hashOf(rows, profile) };
}

async function textPartsOf(model: string) {
  const checkpoint = await openCheckpoint(model);
  try {
    return { tokenizer: await checkpoint.readTokenizer(), template: await checkpoint.readTemplate() };
  } finally {
    await checkpoint.close();
  }
}

type ProfileFlags = Pick<SftFlags, "profile" | "template" | "measure" | "verbosityEdges" | "complexityEdges">;

async function profileFor(rows: readonly SftRow[], flags: ProfileFlags): Promise<SteeringProfile> {
  const edges = { verbosity: flags.verbosityEdges, complexity: flags.complexityEdges };
  const measured = flags.measure === undefined ? undefined : edges;
  if (flags.profile !== undefined) return { ...(await readProfile(flags.profile)), ...(measured && { measured }) };
  const levels = rows.map((row) => row.levels);
  return profileOfData(levels, measured, flags.template);
}

function hashOf(rows: readonly SftRow[], profile: SteeringProfile): string {
  const hash = createHash("sha256").update(JSON.stringify(profile));
  for (const row of rows) hash.update(JSON.stringify(row));
  return hash.digest("hex");
}

/** How many replies have each level. */
export function levelTable({ rows, profile }: Pick<SftData, "rows" | "profile">): string {
  const trained = ATTRIBUTES.filter((attribute) => profile.attributes.some(({ name }) => name === attribute));
  const counts = (name: Attribute) => LEVELS.map((level) => rows.filter(({ levels }) => levels[name] === level).length);
  const line = (name: string, cells: readonly number[]) =>
    name.padEnd(14) + cells.map((cell) => String(cell).padStart(8)).join("");
  return [line("replies", LEVELS), ...trained.map((name) => line(name, counts(name)))].join("\n");
}
