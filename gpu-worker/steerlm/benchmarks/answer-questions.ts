import type { Question } from "./benchmark-files.ts";
import type { Chat, ChatMessage } from "./chat-server.ts";

/**
 * A model's answers to a question's turns: each turn is asked with the model's own answers to those before.
 *
 * @throws Error where the server refuses or cannot be reached
 */
export async function answerQuestion(
  chat: Chat,
  { turns }: Pick<Question, "turns">,
  sampling: { temperature?: number; max_tokens: number },
  signal: AbortSignal,
): Promise<string[]> {
  const messages: ChatMessage[] = [];
  const answers: string[] = [];
  for (const turn of turns) {
    messages.push({ role: "user", content: turn });
    const { content } = await chat.ask({ messages: [...messages], ...sampling }, signal);
    answers.push(content);
    messages.push({ role: "assistant", content });
  }
  return answers;
}
