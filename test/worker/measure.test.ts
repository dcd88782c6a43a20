import { mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { AttributeScorer } from "../../gpu-worker/runtime/attribute-scorer.ts";
import type { RunningWorker } from "../../gpu-worker/server/serve.ts";
import { measuredAttributesSchema } from "../../schema/api/attributes.ts";
import { usageSchema } from "../../schema/api/chat.ts";
import type { Level } from "../../schema/attributes.ts";
import { errorBodySchema } from "../../schema/wire/errors.ts";
import { GENERATIONS_PATH } from "../../schema/wire/generate.ts";
import { SCORE_PATH, scoreAnswerSchema } from "../../schema/wire/score.ts";
import { writeTinyApm } from "../fixtures/tiny-apm.ts";
import { writeTinyModel } from "../fixtures/tiny-llama.ts";
import { questionBody } from "../fixtures/tiny-server.ts";
import { startTinyWorker, TINY_SECRET, writeTinyProfile } from "../fixtures/tiny-worker.ts";
import { signedClient } from "./signed-client.ts";

/** A busy machine takes its time to start threads. */
const TIMEOUT = 120_000;

const steerSchema = z.looseObject({
  effective: z.record(z.string(), z.number()).optional(),
  measured: measuredAttributesSchema.nullable().optional(),
  note: z.string().nullable().optional(),
});
const choiceSchema = z.looseObject({
  index: z.int(),
  finish_reason: z.string().nullable(),
  steer: steerSchema.optional(),
});
const answerSchema = z.object({
  choices: z.array(choiceSchema.extend({ message: z.object({ content: z.string() }) })),
  steer: steerSchema.optional(),
  usage: usageSchema,
});
const chunkSchema = z.object({
  choices: z.array(choiceSchema.extend({ delta: z.object({ content: z.string().optional() }) })),
  steer: steerSchema.optional(),
  usage: usageSchema.nullish(),
});

const ANSWER = "A rainbow is light that raindrops bend. Each colour bends by itself.";
const messages = [{ role: "user", content: "What is a rainbow?" }] as const;
const item = (answer: string) => ({ messages, answer });

let model: Awaited<ReturnType<typeof writeTinyModel>>;
let directory: string;
let apm: string;
let profile: string;
let [measuring, plain]: RunningWorker[] = [];

/** A worker's client. */
function clientOf(worker: RunningWorker | undefined) {
  if (worker === undefined) throw new Error("The worker is not running");
  const { send } = signedClient(worker.url, TINY_SECRET);
  const score = async (...answers: string[]) => {
    const response = await send("POST", SCORE_PATH, { model: "tiny", items: answers.map(item) });
    expect(response.status).toBe(200);
    return scoreAnswerSchema.parse(await response.json());
  };
  const generate = (
    fields: Parameters<typeof questionBody>[0] & {
      measure?: boolean;
      fan_out?: object[];
      include_usage?: boolean;
    },
  ) => send("POST", GENERATIONS_PATH, questionBody({ content: messages[0].content, ...fields }));
  const answer = async (fields: Parameters<typeof generate>[0]) => {
    const response = await generate({ ...fields, stream: false });
    expect(response.status).toBe(200);
    return answerSchema.parse(await response.json());
  };
  return { send, score, generate, answer };
}

/** The chunks of a stream that ended well. */
function chunksOf(stream: string) {
  const events = stream.split("\n\n").filter((event) => event !== "");
  expect(events.at(-1)).toBe("data: [DONE]");
  return events.slice(0, -1).map((event) => chunkSchema.parse(JSON.parse(event.slice(event.indexOf("data: ") + 6))));
}

beforeAll(async () => {
  model = await writeTinyModel();
  directory = await mkdtemp(join(tmpdir(), "attune-measure-"));
  vi.stubEnv("ATTUNE_CACHE_DIR", model.directory);
  apm = await writeTinyApm(join(directory, "apm"), model.path, ["humor", "helpfulness", "verbosity"]);
  profile = await writeTinyProfile(model.directory, [{ name: "verbosity", default: null }]);
  measuring = await startTinyWorker(model.path, { profile, apm, rows: 8, queue: 64 });
  plain = await startTinyWorker(model.path, { profile });
}, TIMEOUT);
afterAll(async () => {
  await measuring?.close(5);
  await plain?.close(5);
  await model.remove();
  await rm(directory, { recursive: true });
});

describe("POST /v1/score", { timeout: TIMEOUT }, () => {
  it("says what the model predicts, what rules count, and which is which", async () => {
    const { predicted, data } = await clientOf(measuring).score(ANSWER);
    const scorer = await AttributeScorer.load({ model: model.path, apm, cores: 1 });
    const [expected] = await scorer.score([item(ANSWER)]);
    scorer.release();
    expect(predicted).toBe(true);
    expect(data).toHaveLength(1);
    const read = (prediction = 0) => {
      const value = Math.min(4, Math.max(0, prediction));
      return { value: expect.closeTo(value, 1), level: Math.round(value), method: "apm", unit: "level" };
    };
    expect(data[0]?.attributes).toEqual({
      humor: read(expected?.humor),
      helpfulness: read(expected?.helpfulness),
      // Counted, although the model would predict it: 12 words are 15 or fewer.
      verbosity: { value: 12, level: 0, method: "rule", unit: "words" },
      complexity: { value: expect.any(Number), level: expect.any(Number), method: "rule", unit: "grade" },
    });
    expect(data[0]?.statistics).toMatchObject({ words: 12, sentences: 2 });
  });

  it("measures by rule alone where there is no such model", async () => {
    const { predicted, data } = await clientOf(plain).score(ANSWER);
    expect(predicted).toBe(false);
    expect(Object.keys(data[0]?.attributes ?? {})).toEqual(["complexity", "verbosity"]);
  });

  it("gives an answer the same whoever else asks at the same time", async () => {
    const { score } = clientOf(measuring);
    const answers = Array.from({ length: 24 }, (_, index) => "the user sat in it all ".repeat(1 + (index % 5)));
    const alone: unknown[] = [];
    for (const answer of answers.slice(0, 5)) alone.push((await score(answer)).data[0]);
    const [together, ...others] = await Promise.all([
      score(...answers.slice(0, 12)),
      ...answers.map((one) => score(one)),
    ]);
    const expected = answers.map((_, index) => alone[index % 5]);
    expect(together?.data).toEqual(expected.slice(0, 12));
    expect(others.map(({ data }) => data[0])).toEqual(expected);
  });

  it.each([
    ["no items", { model: "tiny", items: [] }, 400, "invalid_request"],
    ["an empty answer", { model: "tiny", items: [item(" ")] }, 400, "invalid_request"],
    ["an answer beyond all bounds", { model: "tiny", items: [item("a".repeat(70_000))] }, 400, "invalid_request"],
    ["another model", { model: "gpt-4", items: [item(ANSWER)] }, 404, "model_not_found"],
  ])("refuses %s", async (_, body, status, code) => {
    const response = await clientOf(measuring).send("POST", SCORE_PATH, body);
    expect(response.status).toBe(status);
    expect(errorBodySchema.parse(await response.json()).error.code).toBe(code);
  });
});

describe("a measured answer", { timeout: TIMEOUT }, () => {
  it("says in its steering echo what was measured, and is charged like any other", async () => {
    const { answer, score } = clientOf(measuring);
    const sampling = { max_tokens: 12, temperature: 1, seed: 1 };
    const without = await answer({ sampling });
    const measured = await answer({ sampling, measure: true });
    expect(measured.choices[0]?.message).toEqual(without.choices[0]?.message);
    expect(measured.usage).toEqual(without.usage);
    expect(without.steer?.measured).toBeUndefined();
    expect(measured.steer).toMatchObject({ effective: { verbosity: 2 }, note: null });
    const [scored] = (await score(measured.choices[0]?.message.content ?? "")).data;
    expect(measured.steer?.measured).toEqual(scored?.attributes);
  });

  it("says so in a stream's last chunk before the usage, which naive clients read without harm", async () => {
    const response = await clientOf(measuring).generate({
      sampling: { max_tokens: 12 },
      measure: true,
      include_usage: true,
    });
    const chunks = chunksOf(await response.text());
    const [finish, measured, usage] = chunks.slice(-3);
    expect(finish?.choices[0]?.finish_reason).toBe("length");
    expect(finish?.steer).toMatchObject({ effective: { verbosity: 2 } });
    expect(measured?.choices).toEqual([{ index: 0, delta: {}, finish_reason: null }]);
    // With all of the echo, for who puts the chunks together.
    expect(measured?.steer).toEqual({
      ...finish?.steer,
      measured: expect.objectContaining({ humor: expect.anything() }),
    });
    expect(usage).toMatchObject({ choices: [], usage: { completion_tokens: 12 } });
  });

  const steered = (verbosity: Level) => ({
    ...{ effective: { verbosity }, method: "label_line", preset: null, clamped: [], not_trained: [], note: null },
  });

  it("with several choices says it of each", async () => {
    const { answer } = clientOf(measuring);
    const several = await answer({ n: 3, sampling: { max_tokens: 6, temperature: 1, seed: 1 }, measure: true });
    expect(several.steer).not.toHaveProperty("measured");
    for (const { steer, message } of several.choices) {
      const words = message.content.split(/\s+/u).filter((word) => /[\p{L}\p{N}]/u.test(word)).length;
      expect(steer?.measured?.verbosity?.value).toBe(words);
    }
    const fanOut = await answer({
      n: 2,
      fan_out: [steered(0), steered(4)],
      sampling: { max_tokens: 6 },
      measure: true,
    });
    expect(fanOut.steer).toBeUndefined();
    expect(fanOut.choices.map(({ steer }) => steer?.effective)).toEqual([{ verbosity: 0 }, { verbosity: 4 }]);
    for (const { steer } of fanOut.choices) expect(steer?.measured).toHaveProperty("humor");
  });

  it("streams it of each choice, after all of them have ended", async () => {
    const fields = { n: 2, sampling: { max_tokens: 6 }, measure: true };
    const chunks = chunksOf(await (await clientOf(measuring).generate(fields)).text());
    expect(chunks.slice(-2).map(({ choices }) => choices[0])).toEqual(
      [0, 1].map((index) => ({
        ...{ index, delta: {}, finish_reason: null },
        steer: { measured: expect.objectContaining({ verbosity: expect.anything() }) },
      })),
    );
    const finished = chunks.slice(0, -2).map(({ choices }) => choices[0]?.finish_reason);
    expect(finished.filter((reason) => reason === "length")).toHaveLength(2);
  });
});

describe("answers that wait to be read", { timeout: TIMEOUT }, () => {
  it("are so many and no more, but for one request alone", async () => {
    const worker = await startTinyWorker(model.path, { profile, apm, queue: 2 });
    try {
      const { send, score } = clientOf(worker);
      // The first of them has the model loaded, which takes longer than for all of them to arrive.
      const statuses = await Promise.all(
        Array.from({ length: 6 }, async () => {
          const response = await send("POST", SCORE_PATH, { model: "tiny", items: [item(ANSWER)] });
          return [response.status, errorBodySchema.safeParse(await response.json()).data?.error.code];
        }),
      );
      expect(statuses.filter(([status]) => status === 200)).toHaveLength(2);
      expect(statuses.filter(([, code]) => code === "queue_full")).toHaveLength(4);
      expect((await score(...Array.from({ length: 16 }, () => ANSWER))).data).toHaveLength(16);
    } finally {
      await worker.close(5);
    }
  });
});

describe("an attribute prediction model", { timeout: TIMEOUT }, () => {
  it("that cannot be loaded keeps no answer from being whole, and is tried again", async () => {
    const moved = await writeTinyApm(join(directory, "moved"), model.path, ["humor"]);
    const worker = await startTinyWorker(model.path, { profile, apm: moved });
    try {
      await rename(moved, `${moved}-away`);
      const { answer, send, score } = clientOf(worker);
      const { choices, steer, usage } = await answer({ sampling: { max_tokens: 6 }, measure: true });
      expect(choices[0]?.finish_reason).toBe("length");
      expect(usage.completion_tokens).toBe(6);
      expect(steer).toMatchObject({ measured: null, note: expect.stringMatching(/whole.*could not be loaded/) });
      const refused = await send("POST", SCORE_PATH, { model: "tiny", items: [item(ANSWER)] });
      expect(refused.status).toBe(503);
      const metrics = await (await fetch(`${worker.url}/metrics`)).text();
      expect(metrics).toMatch(/attune:answers_measured_total\{[^}]*outcome="error"[^}]*\} 1/);

      await rename(`${moved}-away`, moved);
      expect((await score(ANSWER)).predicted).toBe(true);
    } finally {
      await worker.close(5);
    }
  });

  it("that there is no time for leaves the answer whole", async () => {
    const body = { ...questionBody({ stream: false, sampling: { max_tokens: 400, ignore_eos: true } }), measure: true };
    // How fast a machine is decides which deadline comes after the answers' beginning and before their end.
    for (const deadline_ms of [40, 80, 160, 320, 640]) {
      const response = await clientOf(measuring).send("POST", GENERATIONS_PATH, { ...body, n: 8, deadline_ms });
      const answer: unknown = await response.json();
      if (response.status === 504) continue;
      const { choices, usage } = answerSchema.parse(answer);
      expect(usage.completion_tokens).toBeLessThan(8 * 400);
      const unmeasured = { measured: null, note: expect.stringContaining("no time left") };
      for (const { steer } of choices) expect(steer).toMatchObject(unmeasured);
      return;
    }
    expect.fail("no deadline came in the middle of the answers");
  });

  it("of other weights, or that is none, is refused at the start", async () => {
    await expect(startTinyWorker(model.path, { apm: directory })).rejects.toThrow(
      /is no attribute prediction model.*attune apm train/,
    );
    const foreign = await writeTinyApm(join(directory, "foreign"), model.path, ["humor"]);
    const description = join(foreign, "apm.json");
    const text = await readFile(description, "utf8");
    await writeFile(description, text.replace(/"sha256":"[0-9a-f]+"/, `"sha256":"${"0".repeat(64)}"`));
    await expect(startTinyWorker(model.path, { apm: foreign })).rejects.toThrow(/trained on other weights/);
  });
});
