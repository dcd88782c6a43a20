/**
 * How the benchmark talks to an engine, which is a process of its own: a request is a line of JSON on its stdin, an answer a line on
 * its stdout that begins with {@link MARK}. All other lines are its own chatter.
 */
export type CellRequest =
  /** Tokens a second from handing over the prompt to having the first token after it. */
  | { kind: "prefill"; prompt: number[] }
  /** Tokens a second of all rows together, from the moment each has its first token. */
  | { kind: "decode"; prompts: number[][]; steps: number }
  /** exp of the mean negative log-probability of every token but the first. */
  | { kind: "perplexity"; tokens: number[] };

export type EngineReply =
  /** Loaded. `version` and `detail` are what the report says of it; `url` is where a server listens. */
  | { type: "ready"; version: string; detail: string; url?: string | undefined }
  | { type: "result"; value: number }
  | { type: "failed"; reason: string };

export const MARK = "@attune-bench ";

export function formatReply(reply: EngineReply): string {
  return `${MARK}${JSON.stringify(reply)}\n`;
}

/** `null` for a line that is no reply. */
export function parseReply(line: string): EngineReply | null {
  return line.startsWith(MARK) ? JSON.parse(line.slice(MARK.length)) : null;
}
