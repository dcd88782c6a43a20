import { mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import type { RunningWorker } from "../../gpu-worker/server/serve.ts";
import { type Moderation, verdictSchema } from "../../schema/api/moderation.ts";
import { errorBodySchema } from "../../schema/wire/errors.ts";
import { COMPLETION_TOKENS_HEADER, GENERATIONS_PATH, PROMPT_TOKENS_HEADER } from "../../schema/wire/generate.ts";
import { SCORE_PATH, scoreAnswerSchema } from "../../schema/wire/score.ts";
import { writeTinyApm } from "../fixtures/tiny-apm.ts";
import { writeTinyModel } from "../fixtures/tiny-llama.ts";
import { questionBody } from "../fixtures/tiny-server.ts";
import { startTinyWorker, TINY_SECRET, writeTinyProfile } from "../fixtures/tiny-worker.ts";
import { signedClient } from "./signed-client.ts";

/** A busy machine takes its time to start threads. */
const TIMEOUT = 120_000;

/** The tiny model's answers are read to be of about level 2. */
const PASSES: Moderation = { mode: "block", above: 3 };
const BLOCKS: Moderation = { mode: "block", above: 0 };

const steerSchema = z.looseObject({ moderation: verdictSchema.nullish(), note: z.string().nullish() });
const answerSchema = z.object({
  choices: z.array(
    z.looseObject({
      message: z.object({ content: z.string() }),
      finish_reason: z.string(),
      steer: steerSchema.optional(),
    }),
  ),
  steer: steerSchema,
  usage: z.object({ completion_tokens: z.int() }),
});

type Fields = Parameters<typeof questionBody>[0] & {
  moderation?: Moderation;
  measure?: boolean;
  deadline_ms?: number;
  dialect?: string;
};

/** The tiny model says `aaaaaaaa`, and is cut off. */
const QUESTION = { content: "hello", sampling: { max_tokens: 8, logit_bias: { "100": 100 } } };
const TEXT = /a/;

let model: Awaited<ReturnType<typeof writeTinyModel>>;
let directory: string;
let profile: string;
let [moderating, plain]: RunningWorker[] = [];

function clientOf(worker: RunningWorker | undefined) {
  if (worker === undefined) throw new Error("The worker is not running");
  const { send } = signedClient(worker.url, TINY_SECRET);
  const generate = (fields: Fields) => send("POST", GENERATIONS_PATH, questionBody({ ...QUESTION, ...fields }));
  const answer = async (fields: Fields) => {
    const response = await generate({ ...fields, stream: false });
    expect(response.status).toBe(200);
    return answerSchema.parse(await response.json());
  };
  return { send, generate, answer };
}

async function errorOf(response: Response) {
  return errorBodySchema.parse(await response.json()).error;
}

const dataOf = (stream: string) =>
  [...stream.matchAll(/^data: (\{.*)$/gm)].map(([, data = ""]): Record<string, unknown> => JSON.parse(data));

/** All text in the events of a stream, in whichever dialect. */
const deltasOf = (stream: string) =>
  [...stream.matchAll(/"(?:content|delta|text)":"([^"]*)"/g)].map(([, text = ""]) => text).join("");

beforeAll(async () => {
  model = await writeTinyModel();
  directory = await mkdtemp(join(tmpdir(), "attune-moderation-"));
  vi.stubEnv("ATTUNE_CACHE_DIR", model.directory);
  const apm = await writeTinyApm(join(directory, "apm"), model.path, ["toxicity", "humor"]);
  profile = await writeTinyProfile(model.directory, [{ name: "verbosity", default: null }]);
  moderating = await startTinyWorker(model.path, { profile, apm, rows: 8, queue: 64 });
  plain = await startTinyWorker(model.path, { profile });
}, TIMEOUT);
afterAll(async () => {
  await moderating?.close(5);
  await plain?.close(5);
  await model.remove();
  await rm(directory, { recursive: true });
});

describe("an answer that is blocked", { timeout: TIMEOUT }, () => {
  it("is an error that says what to do, with what it cost and without a word of it", async () => {
    const { answer, generate } = clientOf(moderating);
    const { usage } = await answer({});
    const response = await generate({ stream: false, moderation: BLOCKS });
    expect(response.status).toBe(400);
    expect(response.headers.get(COMPLETION_TOKENS_HEADER)).toBe(String(usage.completion_tokens));
    expect(Number(response.headers.get(PROMPT_TOKENS_HEADER))).toBeGreaterThan(0);
    const { code, message } = await errorOf(response);
    expect(code).toBe("content_filtered");
    expect(message).toMatch(/above toxicity level 0.*Change the conversation.*charged/);
    expect(message).not.toContain("aa");
  });

  it.each([
    ["openai", { finish_reason: "content_filter" }],
    ["responses", { incomplete_details: { reason: "content_filter" } }],
    ["ui-message", { finishReason: "content-filter" }],
  ])("is empty in a stream of the dialect %s, which ends as its clients know it", async (dialect, ending) => {
    const stream = await (await clientOf(moderating).generate({ dialect, moderation: BLOCKS })).text();
    expect(deltasOf(stream)).not.toMatch(TEXT);
    expect(stream).toContain(JSON.stringify(ending).slice(1, -1));
    expect(stream).toContain('"flagged":true');
    // The last event counts what was generated all the same.
    expect(stream.match(/^id: .*:(\d+)$/gm)?.at(-1)).toMatch(/:8$/);
  });

  it("is so with log-probabilities, too, which would spell it", async () => {
    const fields = { sampling: { ...QUESTION.sampling, logprobs: 2 }, moderation: BLOCKS };
    expect(await (await clientOf(moderating).generate(fields)).text()).not.toContain('"token"');
  });

  it("is so for each choice by itself", async () => {
    const fields = { n: 6, sampling: { max_tokens: 6, temperature: 2, seed: 4 }, stream: false };
    const { answer, generate } = clientOf(moderating);
    const { choices } = await answer({ ...fields, moderation: { mode: "annotate", above: 0 } });
    const levels = choices.map(({ steer }) => steer?.moderation?.level ?? 0);
    const above = z.literal([0, 1, 2]).parse(Math.min(...levels));
    expect(Math.max(...levels)).toBeGreaterThan(above);
    const moderation = { mode: "block" as const, above };
    const blocked = await answer({ ...fields, moderation });
    expect(blocked.choices.map(({ message }) => message.content)).toEqual(
      choices.map(({ message }, index) => ((levels[index] ?? 0) > above ? "" : message.content)),
    );
    const reasons = blocked.choices.map(({ finish_reason }) => finish_reason === "content_filter");
    expect(reasons).toEqual(levels.map((level) => level > above));
    expect(blocked.choices.map(({ steer }) => steer?.moderation?.flagged)).toEqual(reasons);

    const events = dataOf(await (await generate({ ...fields, stream: true, moderation })).text());
    const chunks = z
      .array(
        z.object({
          choices: z.array(z.object({ index: z.int(), delta: z.object({ content: z.string().optional() }) })),
        }),
      )
      .parse(events)
      .flatMap((chunk) => chunk.choices);
    const texts = choices.map((_, choice) =>
      chunks.map(({ index, delta }) => (index === choice ? (delta.content ?? "") : "")).join(""),
    );
    expect(texts).toEqual(blocked.choices.map(({ message }) => message.content));
  });
});

describe("an answer that is not above the level", { timeout: TIMEOUT }, () => {
  it("is delivered as it would be, and says what it was read to be", async () => {
    const { answer, send } = clientOf(moderating);
    const without = await answer({});
    const moderated = await answer({ moderation: PASSES });
    expect(moderated).toMatchObject({ choices: without.choices, usage: without.usage });
    const body = { model: "tiny", items: [{ messages: [{ role: "user", content: "hello" }], answer: "aaaaaaaa" }] };
    const scored = scoreAnswerSchema.parse(await (await send("POST", SCORE_PATH, body)).json());
    const toxicity = scored.data[0]?.attributes.toxicity;
    expect(moderated.steer.moderation).toEqual({
      attribute: "toxicity",
      score: toxicity?.value,
      level: toxicity?.level,
      above: 3,
      flagged: false,
    });
    expect(moderated.steer).not.toHaveProperty("measured");
  });

  it("streams the same pieces once it was read, none before", async () => {
    const { generate } = clientOf(moderating);
    const pieces = async (fields: Fields) =>
      dataOf(await (await generate(fields)).text())
        .map(({ choices }) => choices)
        .filter((choices) => JSON.stringify(choices).includes("content"));
    expect(await pieces({ moderation: PASSES })).toEqual(await pieces({}));
  });

  it("has what was measured beside that, where the request asks for it", async () => {
    const { steer } = await clientOf(moderating).answer({ moderation: PASSES, measure: true });
    expect(steer).toMatchObject({ moderation: { flagged: false }, measured: { humor: { method: "apm" } } });
  });

  it("is read although its deadline has come", async () => {
    const fields = { sampling: { max_tokens: 400, ignore_eos: true }, n: 8, moderation: PASSES, stream: false };
    // How fast a machine is decides which deadline comes after the answers' beginning and before their end.
    for (const deadline_ms of [40, 80, 160, 320, 640]) {
      const response = await clientOf(moderating).generate({ ...fields, deadline_ms });
      const answer: unknown = await response.json();
      if (response.status === 504) continue;
      for (const { steer } of answerSchema.omit({ steer: true }).parse(answer).choices) {
        expect(steer?.moderation).toMatchObject({ flagged: false });
      }
      return;
    }
    expect.fail("no deadline came in the middle of the answers");
  });
});

describe("an answer that is annotated", { timeout: TIMEOUT }, () => {
  const ANNOTATES: Moderation = { mode: "annotate", above: 0 };

  it("is delivered, and says that it is above the level", async () => {
    const { choices, steer } = await clientOf(moderating).answer({ moderation: ANNOTATES });
    expect(choices[0]).toMatchObject({ message: { content: "aaaaaaaa" }, finish_reason: "length" });
    expect(steer.moderation).toMatchObject({ attribute: "toxicity", above: 0, flagged: true });
    const stream = await (await clientOf(moderating).generate({ moderation: ANNOTATES })).text();
    expect(deltasOf(stream)).toBe("aaaaaaaa");
    expect(dataOf(stream).at(-1)).toMatchObject({ steer: { moderation: steer.moderation } });
  });

  it("says that it was not moderated where no model reads toxicity", async () => {
    const { choices, steer } = await clientOf(plain).answer({ moderation: ANNOTATES });
    expect(choices[0]?.message.content).toBe("aaaaaaaa");
    expect(steer).toMatchObject({ moderation: null, note: expect.stringMatching(/not moderated.*Ask its operator/) });
  });
});

describe("a key that blocks", { timeout: TIMEOUT }, () => {
  it.each([true, false])("gets no answer begun where no model reads toxicity (streamed: %s)", async (stream) => {
    const response = await clientOf(plain).generate({ stream, moderation: PASSES });
    expect(response.status).toBe(503);
    expect(response.headers.get(PROMPT_TOKENS_HEADER)).toBeNull();
    const { code, message } = await errorOf(response);
    expect(code).toBe("moderation_unavailable");
    expect(message).toMatch(/--apm/);
  });

  it("gets no word of an answer that could not be read, and is told what it cost", async () => {
    const moved = await writeTinyApm(join(directory, "moved"), model.path, ["toxicity"]);
    const worker = await startTinyWorker(model.path, { profile, apm: moved });
    try {
      await rename(moved, `${moved}-away`);
      const { generate, answer } = clientOf(worker);
      const whole = await generate({ stream: false, moderation: PASSES });
      expect([whole.status, whole.headers.get(COMPLETION_TOKENS_HEADER)]).toEqual([503, "8"]);
      expect(await errorOf(whole)).toMatchObject({
        code: "moderation_unavailable",
        message: expect.stringMatching(/withheld.*charged.*Try again later/),
      });
      const stream = await (await generate({ moderation: PASSES })).text();
      expect(deltasOf(stream)).not.toMatch(TEXT);
      expect(stream).toContain('"code":"moderation_unavailable"');
      expect(stream.match(/^id: .*:(\d+)$/gm)?.at(-1)).toMatch(/:8$/);
      const { steer } = await answer({ moderation: { mode: "annotate", above: 1 } });
      expect(steer).toMatchObject({ moderation: null, note: expect.stringMatching(/whole.*could not be moderated/) });
    } finally {
      await worker.close(5);
    }
  });
});
