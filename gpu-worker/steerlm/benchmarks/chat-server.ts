import { z } from "zod";
import { fetchFailure, HttpError, reasonOf } from "../../model/http-error.ts";
import { type Patience, patiently } from "../../model/patience.ts";
import type { CallStore } from "./call-store.ts";

/** A server that speaks OpenAI's chat completions. */
export type ChatServer = {
  /** Up to and including the version: `https://api.openai.com/v1`. */
  url: string;
  model: string;
  key?: string | undefined;
  /** Fields of every request's body besides the benchmark's own, or in their place; `null` takes one away. */
  body?: Record<string, unknown> | undefined;
};

export type ChatMessage = { role: "system" | "user" | "assistant"; content: string };

export type ChatRequest = {
  messages: ChatMessage[];
  temperature?: number;
  max_tokens?: number;
  logprobs?: boolean;
  top_logprobs?: number;
};

const answerSchema = z.object({
  choices: z
    .array(
      z.object({
        message: z.object({ content: z.string().nullish() }),
        logprobs: z
          .object({
            content: z
              .array(z.object({ top_logprobs: z.array(z.object({ token: z.string(), logprob: z.number() })) }))
              .nullish(),
          })
          .nullish(),
      }),
    )
    .min(1),
});

export type ChatAnswer = {
  content: string;
  /** The likeliest tokens in the first token's place; `null` where the server does not say. */
  firstToken: { token: string; logprob: number }[] | null;
};

/** Judges allow few requests a minute, and a run may take hours: it waits rather than ends. */
export const CHAT_PATIENCE: Pick<Patience, "delays" | "longest"> = {
  delays: [1000, 2000, 4000, 8000, 16_000, 32_000, 64_000],
  longest: 300_000,
};

/** Milliseconds after which an answer is given up: Node's own fetch waits 300 seconds for one. */
const LONGEST_ANSWER = 290_000;

/** Characters of an error's text that are shown. */
const SHOWN = 400;

/** Asks one server, each question once: what the store has is not asked again. */
export class Chat {
  readonly #server: ChatServer;
  readonly #endpoint: string;
  readonly #store: CallStore;
  readonly #patience: Patience;

  constructor(server: ChatServer, store: CallStore, patience: Patience) {
    this.#server = server;
    this.#endpoint = `${server.url.replace(/\/+$/, "")}/chat/completions`;
    this.#store = store;
    this.#patience = patience;
  }

  /**
   * @throws Error that names the server and what it said, where it refuses or cannot be reached
   * @throws the signal's reason, once it is aborted
   */
  async ask(request: ChatRequest, signal: AbortSignal): Promise<ChatAnswer> {
    signal.throwIfAborted();
    const { model, body: more = {} } = this.#server;
    const fields = Object.entries({ model, ...request, ...more }).filter(([, value]) => value !== null);
    const body = JSON.stringify(Object.fromEntries(fields));
    const question = `${this.#endpoint}\n${body}`;
    const known = this.#store.find(question);
    if (known !== null) return this.#read(known);
    const text = await patiently(() => this.#post(body, signal), this.#patience, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      throw new Error(`${this.#endpoint}: ${reasonOf(error)}`, { cause: error });
    });
    const answer = this.#read(text);
    this.#store.add(question, text);
    return answer;
  }

  async #post(body: string, signal: AbortSignal): Promise<string> {
    const { key } = this.#server;
    const timeout = AbortSignal.timeout(LONGEST_ANSWER);
    try {
      const response = await fetch(this.#endpoint, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        },
        body,
        signal: AbortSignal.any([signal, timeout]),
      });
      const text = await response.text();
      if (response.ok) return text;
      throw new Refusal(response, text);
    } catch (error) {
      if (timeout.aborted && !signal.aborted) {
        const advice = "Ask less at once with --concurrency, or for fewer tokens with --body.";
        throw new Error(`no answer in ${LONGEST_ANSWER / 1000} seconds. ${advice}`, { cause: error });
      }
      throw fetchFailure(error);
    }
  }

  #read(text: string): ChatAnswer {
    const parsed = answerSchema.safeParse(jsonOf(text));
    const choice = parsed.data?.choices[0];
    if (choice === undefined) {
      throw new Error(`${this.#endpoint} did not answer as OpenAI's chat completions do: ${text.slice(0, SHOWN)}`);
    }
    return {
      content: choice.message.content ?? "",
      firstToken: choice.logprobs?.content?.[0]?.top_logprobs ?? null,
    };
  }
}

/** A server's refusal, with its own words. */
class Refusal extends HttpError {
  constructor(response: Response, text: string) {
    super(response);
    const stated = refusalSchema.safeParse(jsonOf(text)).data?.error.message ?? text;
    this.message = `HTTP ${response.status}: ${stated.slice(0, SHOWN)}`;
  }
}

const refusalSchema = z.object({ error: z.object({ message: z.string() }) });

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
