import { randomInt } from "node:crypto";
import { Template } from "@huggingface/jinja";
import { AttuneError } from "../../schema/wire/errors.ts";
import { type Conversation, conditionedTurns, type Turn } from "./conditioned-turns.ts";
import type { GgufMetadata } from "./metadata.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** A model's own chat template, parsed. */
export type ChatTemplate = { render(variables: Record<string, unknown>): string };

/** @throws Error where the file has no template, or one that cannot be parsed */
export function readChatTemplate(metadata: GgufMetadata): ChatTemplate {
  return parseChatTemplate(metadata.string("tokenizer.chat_template"));
}

/** @throws Error where it cannot be parsed */
export function parseChatTemplate(source: string): ChatTemplate {
  try {
    return new Template(source);
  } catch (error) {
    throw new Error(`The model's chat template cannot be parsed (${messageOf(error)}).`, { cause: error });
  }
}

/**
 * Stands for one turn's text while the template is rendered. The template's output is searched for it and never the texts, so a
 * text that holds a sentinel is only text; random, so that a template cannot hold it either. Digits and punctuation pass through
 * `trim`, `upper`, `title` and the like unchanged.
 */
const SENTINEL = `#${Array.from({ length: 4 }, () => randomInt(2 ** 32)).join("")}`;
const SENTINELS = new RegExp(`${SENTINEL}\\.(\\d+)#`);

/** `conversation`: so many of its tokens come before what tells one label line from another; `null` where it has no label line. */
export type Prompt = { ids: number[]; conversation: number | null };

/**
 * The prompt of one answer: the conversation with its steering in place, through the model's own template, up to where the answer
 * begins.
 *
 * Text from users cannot become a marker token. The template sees a sentinel in place of each text; markers are looked for only
 * in what the template itself wrote; and all text between two markers is tokenised as one run by a tokenizer that has no marker.
 * For harmless texts the ids are those of llama.cpp.
 *
 * @throws AttuneError `invalid_request` where the template refuses the conversation
 */
export function renderPrompt(tokenizer: Tokenizer, template: ChatTemplate, conversation: Conversation): Prompt {
  const turns = conditionedTurns(conversation);
  const texts: string[] = [];
  const hidden = turns.map((turn) => hide(turn, texts));
  const rendered = renderTemplate(template, hidden, tokenizer);
  const { ids, runs } = tokenise(tokenizer, rendered, texts);
  const added = addedBos(tokenizer, ids);
  const labelled = turns.at(-1)?.role === "attributes";
  return { ids: [...added, ...ids], conversation: labelled ? added.length + (runs.at(-1)?.from ?? 0) : null };
}

/** What the template does not write itself of what every prompt must begin with. */
function addedBos(tokenizer: Tokenizer, ids: readonly number[]): number[] {
  const bos = tokenizer.requiredBos;
  return bos === null || ids[0] === bos ? [] : [bos];
}

/** Stands where a turn's text would begin. */
const NOTHING_YET = "0";

/**
 * Turns, and after them one more up to where its text would begin, through the model's own template and as safe as {@link renderPrompt}.
 * `last`: where the text of the last whole turn lies, with what the template writes before it; empty where that text is blank.
 *
 * @param opened the role of the turn that is only begun
 * @throws AttuneError `invalid_request` where the template refuses these turns
 */
export function renderOpened(
  tokenizer: Tokenizer,
  template: ChatTemplate,
  turns: readonly Turn[],
  opened: Turn["role"],
): { ids: number[]; last: Run } {
  const texts: string[] = [];
  const hidden = [...turns, { role: opened, content: NOTHING_YET }].map((turn) => hide(turn, texts));
  const rendered = renderTemplate(template, hidden, tokenizer);
  const whole = rendered.slice(0, rendered.lastIndexOf(hidden.at(-1)?.content ?? ""));
  const { ids, runs } = tokenise(tokenizer, whole, texts);
  const added = addedBos(tokenizer, ids);
  const end = { from: ids.length, to: ids.length };
  const { from, to } = (turns.at(-1)?.content ?? "").trim() === "" ? end : (runs.at(-1) ?? end);
  return { ids: [...added, ...ids], last: { from: added.length + from, to: added.length + to } };
}

/** Puts a sentinel in a text's place, but leaves its outer white space, so that `trim` and tests for emptiness work as they should. */
function hide({ role, content }: Turn, texts: string[]): Turn {
  const text = content.trim();
  if (text === "") return { role, content };
  const start = content.length - content.trimStart().length;
  texts.push(text);
  const sentinel = `${SENTINEL}.${texts.length - 1}#`;
  return { role, content: content.slice(0, start) + sentinel + content.slice(start + text.length) };
}

function renderTemplate(template: ChatTemplate, messages: Turn[], tokenizer: Tokenizer): string {
  try {
    return template.render({
      messages,
      add_generation_prompt: true,
      bos_token: tokenizer.bosText,
      eos_token: tokenizer.eosText,
    });
  } catch (error) {
    throw new AttuneError("invalid_request", `The model's chat template refuses these messages: ${messageOf(error)}`, {
      param: "messages",
      cause: error,
    });
  }
}

/** The tokens `from` to `to` between two markers, which hold a turn's text and what the template writes beside it. */
export type Run = { from: number; to: number };

/** Tokenises a rendered template, each sentinel replaced by its text. `runs`: where each text that is there came to lie, in order. */
function tokenise(tokenizer: Tokenizer, rendered: string, texts: string[]): { ids: number[]; runs: Run[] } {
  const ids: number[] = [];
  const runs: Run[] = [];
  const markers = markerPattern(tokenizer);
  let run = "";
  let inRun = 0;
  const endRun = () => {
    const from = ids.length;
    for (const id of tokenizer.encodeText(run, ids.length === 0)) ids.push(id);
    for (; inRun > 0; inRun--) runs.push({ from, to: ids.length });
    run = "";
  };
  // Split at a pattern with one group: template text and the group's matches take turns.
  for (const [index, part] of rendered.split(SENTINELS).entries()) {
    if (index % 2 === 1) {
      run += texts[Number(part)] ?? "";
      inRun++;
      continue;
    }
    for (const piece of markers === null ? [part] : part.split(markers)) {
      const marker = tokenizer.markerIds.get(piece);
      if (marker === undefined) {
        run += piece;
        continue;
      }
      endRun();
      ids.push(marker);
    }
  }
  endRun();
  return { ids, runs };
}

const patterns = new WeakMap<Tokenizer, RegExp | null>();

/** Matches any marker, the longest first, in a group so that splitting keeps it; `null` where there are none. */
function markerPattern(tokenizer: Tokenizer): RegExp | null {
  const known = patterns.get(tokenizer);
  if (known !== undefined) return known;
  const texts = [...tokenizer.markerIds.keys()].filter((text) => text !== "").sort((a, b) => b.length - a.length);
  const escaped = texts.map((text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"));
  const pattern = texts.length === 0 ? null : new RegExp(`(${escaped.join("|")})`);
  patterns.set(tokenizer, pattern);
  return pattern;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
