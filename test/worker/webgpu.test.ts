import { fork } from "node:child_process";
import { once } from "node:events";
import { arch, platform } from "node:process";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { z } from "zod";
import { Engine } from "../../gpu-worker/engine/engine.ts";
import type { GenerationRequest } from "../../gpu-worker/engine/generation.ts";
import type { KvType } from "../../gpu-worker/graph/precision.ts";
import { DecoderSession } from "../../gpu-worker/runtime/decoder-session.ts";
import { deviceMemory } from "../../gpu-worker/runtime/device-kv-cache.ts";
import { type DeviceChoice, findDevice } from "../../gpu-worker/runtime/find-device.ts";
import type { Provider } from "../../gpu-worker/runtime/onnxruntime/library.ts";
import { samplingSchema } from "../../schema/api/chat.ts";
import { GENERATIONS_PATH } from "../../schema/wire/generate.ts";
import { referenceLogits } from "../fixtures/reference-llama.ts";
import { softwareVulkanEnvironment, useSoftwareVulkan } from "../fixtures/software-vulkan.ts";
import { tinyUpdates } from "../fixtures/tiny-adapter.ts";
import { tinyBank, writeTinyUpdates } from "../fixtures/tiny-bank.ts";
import { TINY_CONFIG, tinyDecoder, tinyWeights, writeTinyModel } from "../fixtures/tiny-llama.ts";
import { tinyTokenizer } from "../fixtures/tiny-tokenizer.ts";
import { signedClient } from "./signed-client.ts";

const CLI = fileURLToPath(new URL("../../gpu-worker/cli.ts", import.meta.url));
const SECRET = "a secret of the test worker";

/** onnxruntime-node brings no WebGPU for Linux on ARM. */
const HAS_WEBGPU = platform !== "linux" || arch === "x64";

/** A software device compiles its kernels for each new shape. */
const SLOW = { timeout: 120_000 };

const tokens = tinyTokenizer().tokenByteTable();
const prompt = (length: number, seed: number) =>
  Array.from({ length }, (_, index) => 3 + ((index * 37 + seed * 101) % 256));
const CONVERSATION = prompt(45, 9);

/** Takes the most likely token in effect, without asking for a reproducible answer, which reuses less. */
const NEARLY_GREEDY = samplingSchema.parse({ temperature: 1e-6 });

function request(id: string, ids: number[], maxTokens: number, more: Partial<GenerationRequest> = {}) {
  return { id, prompt: ids, sampling: NEARLY_GREEDY, maxTokens, ...more };
}

type Answer = { text: string; tokens: number; cached: number };

/**
 * What a busy engine answers: prompts in several pieces, rows of different lengths, one cancelled in the middle, later ones that make the
 * cache grow, that begin as an earlier one did, or that are steered away from another prompt.
 */
async function busyHour(session: DecoderSession): Promise<Map<string, Answer>> {
  const engine = new Engine(
    session,
    { tokens, eosIds: new Set() },
    { rows: 5, kvBytes: 2 ** 26, prefixBytes: 2 ** 22, mixedTokens: 16, prefillTokens: 96 },
  );
  const arrivals = new Map<number, GenerationRequest[]>([
    [
      0,
      [request("short", prompt(5, 1), 4), request("long", prompt(80, 2), 24), request("cancelled", prompt(9, 3), 40)],
    ],
    [4, [request("first turn", CONVERSATION, 6)]],
    [9, [request("grows", prompt(20, 4), 130)]],
    [14, [request("second turn", [...CONVERSATION, 40, 41], 8)]],
    [
      16,
      [request("steered", [...CONVERSATION, 50, 51], 8, { guidance: { prompt: [...CONVERSATION, 60], strength: 2 } })],
    ],
  ]);
  const answers = new Map<string, Answer>();
  for (let step = 0; engine.busy || step <= Math.max(...arrivals.keys()); step++) {
    for (const arrival of arrivals.get(step) ?? []) {
      answers.set(arrival.id, { text: "", tokens: 0, cached: 0 });
      engine.submit(arrival);
    }
    if (step === 6) engine.cancel("cancelled");
    for (const event of (await engine.step()).events) {
      const answer = answers.get(event.id);
      if (event.kind === "failed") throw new Error(event.reason);
      if (answer === undefined) continue;
      if (event.kind === "started") answer.cached = event.cachedTokens;
      if (event.kind !== "advanced") continue;
      answer.text += event.text;
      answer.tokens = event.completionTokens;
    }
  }
  return answers;
}

async function open(provider: Provider, kvType: KvType): Promise<DecoderSession> {
  const model = await tinyDecoder("fp32", TINY_CONFIG, { kvType });
  return new DecoderSession(model, TINY_CONFIG, 1, { memory: await deviceMemory(TINY_CONFIG, provider, kvType) });
}

let expected: Map<string, Answer>;

beforeAll(async () => {
  const session = new DecoderSession(await tinyDecoder("fp32"), TINY_CONFIG, 1);
  expected = await busyHour(session);
  session.release();
  expect(expected.get("grows")).toMatchObject({ tokens: 130 });
  expect(expected.get("second turn")?.cached).toBeGreaterThan(40);
});

describe("keys and values on a device", () => {
  it("give the answers of the processor's own memory, in half as much as float16", async () => {
    const session = await open("cpu", "float16");
    expect(session.allocate(2, 128).bytes).toBe(
      2 * 128 * TINY_CONFIG.layers * 2 * TINY_CONFIG.kvHeads * TINY_CONFIG.headDim * 2,
    );
    expect(await busyHour(session)).toEqual(expected);
    session.release();
  });
});

describe.skipIf(!HAS_WEBGPU)("a decoder on WebGPU", () => {
  beforeAll(useSoftwareVulkan);

  it("gives everybody the tokens that the processor gives them, while others join and leave", SLOW, async () => {
    const { provider, kvType } = await findDevice("webgpu");
    const session = await open(provider, kvType);
    expect(await busyHour(session)).toEqual(expected);
    session.release();
  });

  it("stays close to float32 with weights as int8", SLOW, async () => {
    const memory = await deviceMemory(TINY_CONFIG, "webgpu", "float32");
    const session = new DecoderSession(await tinyDecoder("int8-blocks"), TINY_CONFIG, 1, { memory });
    const cache = session.allocate(1, CONVERSATION.length);
    const logits = session.run({ cache, firstSlot: 0, tokens: [CONVERSATION], computed: [0] });
    const exact = referenceLogits(TINY_CONFIG, tinyWeights(), CONVERSATION).at(-1) ?? [];
    const spread = Math.max(...exact) - Math.min(...exact);
    expect(Math.max(...exact.map((value, token) => Math.abs(value - (logits[token] ?? 0))))).toBeLessThan(
      spread * 0.03,
    );
    session.release();
  });

  it("computes rows with adapters of their own, whatever takes their place later", SLOW, async () => {
    const bank = tinyBank(8);
    const model = await tinyDecoder("fp32", TINY_CONFIG, { adapterBank: true });
    const memory = await deviceMemory(TINY_CONFIG, "webgpu", "float32");
    const sessions = [
      new DecoderSession(model, TINY_CONFIG, 1, { bank, memory }),
      new DecoderSession(model, TINY_CONFIG, 1, { bank }),
    ];
    const caches = sessions.map((session) => session.allocate(2, 8));
    for (const [step, seed] of [11, 12].entries()) {
      const adapter = await writeTinyUpdates(bank, "fp32", 3, tinyUpdates(seed, 20), 2);
      const [onDevice, onProcessor] = sessions.map((session, index) => {
        const cache = caches[index] ?? expect.fail();
        const batch = { cache, firstSlot: 0, tokens: [[5], [100]], computed: [step, step], adapters: [adapter, null] };
        return Array.from(session.run(batch));
      });
      for (const [index, value] of onProcessor?.entries() ?? []) expect(onDevice?.[index]).toBeCloseTo(value, 4);
    }
    for (const session of sessions) session.release();
  });

  it("answers from the command line as the processor does, and ends in an orderly way", SLOW, async () => {
    const tiny = await writeTinyModel();
    onTestFinished(tiny.remove);
    const onDevice = await serveOnce(tiny, "webgpu");
    expect(onDevice).toMatchObject({ code: 0, log: expect.stringContaining('"provider":"webgpu"') });
    expect(onDevice.answer).toEqual((await serveOnce(tiny, "cpu")).answer);
  });
});

const listeningSchema = z.tuple([z.object({ url: z.url() })]).rest(z.unknown());
const answerSchema = z.object({ choices: z.array(z.object({ message: z.object({ content: z.string().min(1) }) })) });

/** Starts a worker, asks it something, and stops it. */
async function serveOnce(model: { path: string; directory: string }, device: DeviceChoice) {
  const flags = ["--device", device, "--model", model.path, "--id", "tiny", "--precision", "fp32", "--port", "0"];
  const child = fork(CLI, ["serve", ...flags], {
    env: {
      ...process.env,
      ...softwareVulkanEnvironment(),
      ATTUNE_WORKER_SECRET: SECRET,
      ATTUNE_CACHE_DIR: model.directory,
    },
    execArgv: [],
    silent: true,
  });
  let log = "";
  child.stdout?.setEncoding("utf8").on("data", (piece: string) => {
    log += piece;
  });
  const ended = once(child, "exit");
  const [{ url }] = listeningSchema.parse(await once(child, "message"));
  await expect.poll(async () => (await fetch(`${url}/readyz`)).status, SLOW).toBe(200);
  const response = await signedClient(url, SECRET).send("POST", GENERATIONS_PATH, {
    generation: "gen_webgpu00000001",
    dialect: "openai",
    model: "tiny",
    messages: [{ role: "user", content: "hello" }],
    steering: { effective: {}, method: "none", preset: null, clamped: [], not_trained: [], note: null },
    sampling: { temperature: 0, ignore_eos: true, max_tokens: 12 },
    stream: false,
    include_usage: false,
  });
  const answer = answerSchema.parse(await response.json());
  child.kill("SIGTERM");
  const [code] = await ended;
  return { answer, code, log };
}
