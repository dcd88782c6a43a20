import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { argmax } from "../../gpu-worker/engine/sampler.ts";
import { openAdapter } from "../../gpu-worker/model/adapter.ts";
import { renderPrompt } from "../../gpu-worker/model/chat-template.ts";
import { openCheckpoint } from "../../gpu-worker/model/checkpoint.ts";
import { ensureDecoder } from "../../gpu-worker/runtime/decoder-files.ts";
import { DecoderSession } from "../../gpu-worker/runtime/decoder-session.ts";
import { startPythonServer } from "../fixtures/python-server.ts";
import { testModelPath } from "../worker/test-model.ts";
import { llamaPython, peftPython, run, scriptPath } from "./python.ts";

const CLI = fileURLToPath(new URL("../../gpu-worker/cli.ts", import.meta.url));
const SHIPPED = fileURLToPath(new URL("../../gpu-worker/models", import.meta.url));

const QUESTIONS = ["What is a rainbow?", "Write a short poem about rain.", "How do I boil an egg?"];
const TOKENS = 24;

type Answer = { logits: Float32Array; tokens: number[] };

let directory: string;
let adapter: string;
let prompts: number[][];
let here: Answer[];
let peft: Answer[];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "attune-interop-"));
  adapter = await chooseAdapter();
  prompts = await renderPrompts();
  peft = await answersOfPeft();
  here = await answersHere();
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** The adapter named on the command line, else the first that ships with the project, else a random one that PEFT makes. */
async function chooseAdapter(): Promise<string> {
  const named = process.env.ATTUNE_TEST_ADAPTER ?? "";
  if (named !== "") return named;
  const files = await readdir(SHIPPED, { recursive: true }).catch(() => []);
  const shipped = files.find((file) => file.endsWith("adapter_config.json"));
  if (shipped !== undefined) return join(SHIPPED, shipped, "..");
  const made = join(directory, "made-by-peft");
  await run(peftPython(), [scriptPath("peft_model.py"), "make", testModelPath(), made]);
  return made;
}

/** The questions as the worker asks them: with the adapter's label line at its default levels, where it has any. */
async function renderPrompts(): Promise<number[][]> {
  const opened = await openAdapter(adapter);
  const model = await openCheckpoint(testModelPath());
  const { profile } = opened;
  const levels = profile?.attributes.flatMap(({ name, default: level }) => (level === null ? [] : [[name, level]]));
  const steering = {
    effective: Object.fromEntries(levels ?? []),
    method: profile === null ? ("none" as const) : ("label_line" as const),
    preset: null,
    clamped: [],
    not_trained: [],
    note: null,
  };
  const tokenizer = await model.readTokenizer();
  const template = await model.readTemplate();
  const rendered = QUESTIONS.map(
    (content) => renderPrompt(tokenizer, template, { messages: [{ role: "user", content }], steering, profile }).ids,
  );
  await model.close();
  await opened.close();
  return rendered;
}

const peftAnswers = z.array(z.object({ logits: z.base64(), tokens: z.array(z.int()) }));

async function answersOfPeft(): Promise<Answer[]> {
  const input = JSON.stringify({ prompts, count: TOKENS });
  const printed = await run(peftPython(), [scriptPath("peft_model.py"), "answer", testModelPath(), adapter], { input });
  return peftAnswers.parse(JSON.parse(printed)).map(({ logits, tokens }) => {
    const bytes = new Uint8Array(Buffer.from(logits, "base64"));
    return { logits: new Float32Array(bytes.buffer), tokens };
  });
}

async function answersHere(): Promise<Answer[]> {
  const model = await openCheckpoint(testModelPath());
  const built = await ensureDecoder(testModelPath(), { adapter, precision: "fp32", cache: directory });
  const session = new DecoderSession(built, model.config, 1);
  try {
    return prompts.map((prompt) => {
      const cache = session.allocate(1, prompt.length + TOKENS);
      const tokens: number[] = [];
      let logits: Float32Array | undefined;
      let piece = prompt;
      let computed = 0;
      while (tokens.length < TOKENS) {
        const after = session.run({ cache, firstSlot: 0, tokens: [piece], computed: [computed] });
        logits ??= after.slice();
        computed += piece.length;
        piece = [argmax(after)];
        tokens.push(...piece);
      }
      session.free(cache);
      return { logits: logits ?? new Float32Array(), tokens };
    });
  } finally {
    session.release();
    await model.close();
  }
}

function logProbabilities(logits: Float32Array): Float32Array {
  const peak = logits[argmax(logits)] ?? 0;
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit - peak), 0);
  return logits.map((logit) => logit - peak - Math.log(total));
}

describe("an adapter on the real model, in float32", () => {
  it("gives the logits here that PEFT and transformers give", () => {
    for (const [index, { logits }] of here.entries()) {
      const wanted = peft[index]?.logits ?? new Float32Array();
      expect(logits.length).toBe(wanted.length);
      const worst = logits.reduce((most, logit, at) => Math.max(most, Math.abs(logit - (wanted[at] ?? Number.NaN))), 0);
      expect(worst).toBeLessThan(0.01);
    }
  });

  it("answers greedily in the same tokens", () => {
    expect(here.map(({ tokens }) => tokens)).toEqual(peft.map(({ tokens }) => tokens));
  });
});

const completion = z.object({
  completion_probabilities: z.array(
    z.object({ id: z.int(), top_logprobs: z.array(z.object({ id: z.int(), logprob: z.number() })) }),
  ),
});

describe("the same adapter in llama.cpp", () => {
  let llama: Awaited<ReturnType<typeof startPythonServer>>;
  beforeAll(async () => {
    const [base, lora] = [join(directory, "base.gguf"), join(directory, "adapter.gguf")];
    await run(peftPython(), [scriptPath("float32_gguf.py"), testModelPath(), base]);
    await run(process.execPath, [CLI, "adapter", "convert", adapter, "--model", testModelPath(), "--out", lora]);
    llama = await startPythonServer(llamaPython(), [scriptPath("llama_server.py"), base, lora]);
  });
  afterAll(() => llama.stop());

  /** @param scale how much of the adapter is applied */
  async function answerOf(prompt: number[], scale = 1) {
    const body = { prompt, n_predict: TOKENS, temperature: 0, n_probs: 5, ignore_eos: true, lora: [{ id: 0, scale }] };
    const response = await fetch(`${llama.url}/completion`, { method: "POST", body: JSON.stringify(body) });
    return completion.parse(await response.json()).completion_probabilities;
  }

  it("gives the same log-probabilities from the file that `attune adapter convert` writes", async () => {
    for (const [index, prompt] of prompts.entries()) {
      const [first] = await answerOf(prompt);
      const ours = logProbabilities(here[index]?.logits ?? new Float32Array());
      for (const { id, logprob } of first?.top_logprobs ?? [])
        expect(Math.abs(logprob - (ours[id] ?? 0))).toBeLessThan(0.01);
      expect(first?.top_logprobs.length).toBe(5);
    }
  });

  it("answers greedily in the same tokens", async () => {
    const answers: number[][] = [];
    for (const prompt of prompts) answers.push((await answerOf(prompt)).map(({ id }) => id));
    expect(answers).toEqual(here.map(({ tokens }) => tokens));
  });

  it("is what makes the difference: without it the model says something else", async () => {
    const [prompt = []] = prompts;
    const [first] = await answerOf(prompt, 0);
    const ours = logProbabilities(here[0]?.logits ?? new Float32Array());
    const differences = (first?.top_logprobs ?? []).map(({ id, logprob }) => Math.abs(logprob - (ours[id] ?? 0)));
    expect(Math.max(...differences)).toBeGreaterThan(0.1);
  });
});
