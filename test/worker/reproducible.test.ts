import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EngineClient } from "../../gpu-worker/engine/client.ts";
import { renderPrompt } from "../../gpu-worker/model/chat-template.ts";
import { openCheckpoint } from "../../gpu-worker/model/checkpoint.ts";
import { ensureDecoder } from "../../gpu-worker/runtime/decoder-files.ts";
import { type Sampling, samplingSchema } from "../../schema/api/chat.ts";
import { testModelPath } from "./test-model.ts";

/** Long enough for whole pieces of it to be reused. */
const SYSTEM =
  "You are the guide of a small museum of tide mills. Answer briefly, in plain words, and mention the sea whenever you can. " +
  "The museum opens at nine and closes at five, except on Mondays. Tickets cost four coins; children pay nothing. The mill pond " +
  "is drained twice a year, and dogs are welcome on a lead.";
const QUESTIONS = [
  "When can I come?",
  "What does a ticket cost?",
  "Tell me about the pond.",
  "How does a tide mill work?",
];

let engine: EngineClient;
let promptOf: (question: string) => number[];
let count = 0;

beforeAll(async () => {
  const path = testModelPath();
  const checkpoint = await openCheckpoint(path);
  const [tokenizer, template] = [await checkpoint.readTokenizer(), await checkpoint.readTemplate()];
  await checkpoint.close();
  const steering = { effective: {}, method: "none" as const, preset: null, clamped: [], not_trained: [], note: null };
  promptOf = (question) => {
    const messages = [
      { role: "system" as const, content: SYSTEM },
      { role: "user" as const, content: question },
    ];
    return renderPrompt(tokenizer, template, { messages, steering, profile: null }).ids;
  };
  engine = new EngineClient(
    {
      model: await ensureDecoder(path),
      config: checkpoint.config,
      tokens: tokenizer.tokenByteTable(),
      eosIds: [...tokenizer.eosIds],
      threads: 0,
      options: { rows: 8, kvBytes: 2 ** 30, prefixBytes: 2 ** 27, mixedTokens: 64, prefillTokens: 256 },
    },
    { queuedRequests: 16, queuedTokens: 10_000 },
  );
  await engine.ready;
}, 60_000);
afterAll(() => engine.close());

function answer(question: string, sampling: Partial<Sampling>): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    engine.submit(
      { id: `r${++count}`, prompt: promptOf(question), sampling: samplingSchema.parse(sampling), maxTokens: 40 },
      {
        onStarted: () => {},
        onText: (piece) => {
          text += piece;
        },
        onEnd: () => resolve(text),
      },
    );
  });
}

const all = (sampling: Partial<Sampling>) => Promise.all(QUESTIONS.map((question) => answer(question, sampling)));

describe("the real model in int8", () => {
  it.each([{ temperature: 0 }, { temperature: 0.8, seed: 3 }])(
    "gives the same answer for %o, alone or in company, read anew or known",
    { timeout: 60_000 },
    async (sampling) => {
      const alone: string[] = [];
      for (const question of QUESTIONS) alone.push(await answer(question, sampling));
      expect(await all(sampling)).toEqual(alone);
      // Others leave keys and values behind whose last bits are different.
      await all({ temperature: 0.9 });
      expect(await all(sampling)).toEqual(alone);
    },
  );
});
