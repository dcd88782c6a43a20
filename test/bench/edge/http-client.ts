import { type Agent, type ClientRequest, type IncomingMessage, request } from "node:http";
import type { Script } from "./script.ts";

/** A request that is ready to be sent, as often as wished. */
export type Question = { url: URL; headers: Record<string, string>; body: string };

/** Where answers are asked for: makes the request that a script is carried by. */
export type Target = (script: Script, stream: boolean) => Promise<Question>;

export function questionOf(url: URL, headers: Record<string, string>, body: string): Question {
  const length = String(Buffer.byteLength(body));
  return { url, headers: { ...headers, "content-type": "application/json", "content-length": length }, body };
}

/** Longest that an answer may take, in milliseconds. */
const PATIENCE_MS = 30_000;

export function send(
  agent: Agent,
  { url, headers, body }: Question,
  onResponse: (response: IncomingMessage) => void,
): ClientRequest {
  const { hostname, port, pathname } = url;
  const options = { method: "POST", host: hostname, port, path: pathname, headers, agent, timeout: PATIENCE_MS };
  const sent = request(options, onResponse);
  sent.once("timeout", () => sent.destroy(new Error(`no answer for ${PATIENCE_MS / 1000} s`)));
  sent.end(body);
  return sent;
}

/** The body of an answer that came whole. @throws Error where the answer is an error, or breaks off */
export function ask(agent: Agent, question: Question): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = send(agent, question, (response) => {
      readText(response).then((text) => {
        if (response.statusCode === 200) resolve(text);
        else reject(new Error(`HTTP ${response.statusCode}: ${text.slice(0, 400)}`));
      }, reject);
    });
    sent.once("error", reject);
  });
}

export function readText(response: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    response.setEncoding("utf8");
    response.on("data", (chunk: string) => {
      text += chunk;
    });
    response.once("end", () => resolve(text));
    response.once("error", reject);
  });
}
