import { styleText } from "node:util";
import { ATTRIBUTES } from "../../schema/attributes.ts";

const SERVED_MODEL = "smollm2-135m";

/** Where the page reads the key from: a fragment is never sent to a server. */
export const playgroundLink = (url: string, key: string) => `${url}/#key=${key}`;

/** What a newcomer does next: a link to click and two things to paste. */
export function welcome(url: string, key: string): string {
  const heading = (text: string) => styleText("bold", text, { stream: process.stdout });
  const request = {
    model: SERVED_MODEL,
    stream: true,
    messages: [{ role: "user", content: "What is a rainbow?" }],
    steer: { attributes: { verbosity: 1, complexity: 0 } },
  };
  return `
${heading("Attune is ready.")}  Ctrl-C stops it.

${heading("Playground")}  ${playgroundLink(url, key)}
${heading("Key")}         ${key}

${heading("curl")}
curl -N ${url}/v1/chat/completions \\
  -H "Authorization: Bearer ${key}" \\
  -H "Content-Type: application/json" \\
  -d '${JSON.stringify(request)}'

${heading("JavaScript")}  npm install openai
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${url}/v1", apiKey: "${key}" });
const stream = await client.chat.completions.create({
  model: "${SERVED_MODEL}",
  messages: [{ role: "user", content: "What is a rainbow?" }],
  // Each 0-4, any subset of: ${ATTRIBUTES.join(", ")}
  steer: { attributes: { verbosity: 4, complexity: 3 } },
  stream: true,
});
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta.content ?? "");
`;
}
