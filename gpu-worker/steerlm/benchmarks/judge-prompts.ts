import { z } from "zod";
import type { ChatMessage } from "./chat-server.ts";

/** A judge's prompt as FastChat's `judge_prompts.jsonl` holds it. */
export const judgePromptSchema = z.object({
  name: z.string(),
  system_prompt: z.string(),
  prompt_template: z.string(),
});
export type JudgePrompt = z.infer<typeof judgePromptSchema>;

/** A prompt of Vicuna's evaluation, `fastchat/eval/table/prompt.jsonl`. */
export const vicunaPromptSchema = z.object({
  category: z.string(),
  system_prompt: z.string(),
  prompt_template: z.string(),
  defaults: z.record(z.string(), z.string()).default({}),
});
export type VicunaPrompt = z.infer<typeof vicunaPromptSchema>;

/**
 * A template with its fields filled in. Each field is looked for in the template alone: an answer that holds `{answer_b}` is only text.
 *
 * @throws Error where one of `required` is not in the template
 */
export function fillTemplate(
  template: string,
  values: Record<string, string>,
  required: readonly string[] = [],
): string {
  const missing = required.find((name) => !template.includes(`{${name}}`));
  if (missing !== undefined) throw new Error(`The prompt has no {${missing}} to fill in.`);
  return template.replace(/\{(\w+)\}/g, (field, name: string) =>
    Object.hasOwn(values, name) ? (values[name] ?? field) : field,
  );
}

/** The messages to a judge. */
export function judgeMessages(
  { system_prompt, prompt_template }: Pick<JudgePrompt, "system_prompt" | "prompt_template">,
  values: Record<string, string>,
): ChatMessage[] {
  return [
    { role: "system", content: system_prompt },
    { role: "user", content: fillTemplate(prompt_template, values) },
  ];
}

const CHATML = /<\|im_start\|>(system|user|assistant)\n([\s\S]*?)\n?<\|im_end\|>/g;

/**
 * The messages of a prompt file in ChatML, as AlpacaEval's are; a file without markers is one user message.
 *
 * @throws Error where a field is missing
 */
export function chatmlMessages(text: string, values: Record<string, string>): ChatMessage[] {
  // Of all of it, for a field may be in any message.
  fillTemplate(text, values, Object.keys(values));
  const messages = [...text.matchAll(CHATML)].map(
    ([, role, content = ""]): ChatMessage => ({
      role: role === "system" || role === "assistant" ? role : "user",
      content: fillTemplate(content, values),
    }),
  );
  return messages.length > 0 ? messages : [{ role: "user", content: fillTemplate(text, values) }];
}
