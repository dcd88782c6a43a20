/**
 * Many clients on one worker, who hang up at random points: does it lose a slot, a byte or memory?
 *
 *     npm run bench:soak -- [--minutes 10] [--clients 64]
 *
 * Requests carry a seed, so every answer is known beforehand: what a client got must be its beginning, byte for byte.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { GENERATIONS_PATH } from "../../schema/wire/generate.ts";
import { startStack } from "../../scripts/stack.ts";
import { signedClient } from "../worker/signed-client.ts";

const RESULTS = new URL("./results/soak.json", import.meta.url);
const PROMPTS = [
  "Why is the sky blue?",
  "Write a story about a lighthouse keeper and a seal.",
  `Summarise this: ${"The tide comes in and the tide goes out, and the mill turns with both. ".repeat(12)}`,
  "Écris une phrase sur l'été. 用中文打个招呼。",
];
const SEEDS = [1, 2];
/** Of all requests, the share whose client hangs up. */
const ABORTS = 0.5;
const MAX_TOKENS = 80;

const { values } = parseArgs({
  options: { minutes: { type: "string", default: "10" }, clients: { type: "string", default: "64" } },
});
const [minutes, clients] = [Number(values.minutes), Number(values.clients)];

const directory = await mkdtemp(join(tmpdir(), "attune-soak-"));
const stack = await startStack({ port: 0, stateDirectory: directory });
const { send } = signedClient(stack.workerUrl, stack.workerSecret);
let count = 0;

/** Streams one answer; `until` characters after which the client hangs up. */
async function ask(
  prompt: string,
  seed: number,
  until: number,
): Promise<{ text: string; whole: boolean; gaps: number[] }> {
  const abort = new AbortController();
  const body = {
    generation: `gen_${String(++count).padStart(12, "0")}`,
    dialect: "openai",
    model: "smollm2-135m",
    messages: [{ role: "user", content: prompt }],
    steering: STEERING,
    sampling: { temperature: 0.8, seed, max_tokens: MAX_TOKENS },
    stream: true,
    include_usage: false,
  };
  const response = await send("POST", GENERATIONS_PATH, body, { signal: abort.signal });
  if (response.status !== 200 || response.body === null) throw new Error(`${response.status} ${await response.text()}`);
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const gaps: number[] = [];
  let [text, pending, whole, last] = ["", "", false, 0];
  const reader = response.body.getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    const events = (pending + decoder.decode(read.value, { stream: true })).split("\n\n");
    pending = events.pop() ?? "";
    for (const event of events) {
      const data = event.slice(event.indexOf("data: ") + "data: ".length);
      if (data === "[DONE]") whole = true;
      else text += JSON.parse(data).choices?.[0]?.delta?.content ?? "";
    }
    const now = performance.now();
    if (last > 0) gaps.push(now - last);
    last = now;
    if (text.length >= until) {
      abort.abort();
      return { text, whole, gaps };
    }
  }
  return { text, whole, gaps };
}

const STEERING = { effective: {}, method: "none", preset: null, clamped: [], not_trained: [], note: null };

async function metric(name: string): Promise<number> {
  const lines = (await (await fetch(`${stack.workerUrl}/metrics`)).text()).split("\n");
  return lines
    .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    .reduce((total, line) => total + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}

/** Resident memory of the worker's process in MiB. */
async function residentMemory(): Promise<number> {
  const status = await readFile(`/proc/${stack.workerPid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

const quantile = (values: number[], share: number) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? 0;
const mean = (values: number[]) => values.reduce((total, value) => total + value, 0) / values.length;

try {
  const known = new Map<string, string>();
  for (const prompt of PROMPTS) {
    for (const seed of SEEDS) known.set(`${seed} ${prompt}`, (await ask(prompt, seed, Number.POSITIVE_INFINITY)).text);
  }
  const end = Date.now() + minutes * 60_000;
  const memory: number[] = [];
  const gaps: number[] = [];
  let [requests, aborted, wrong] = [0, 0, 0];

  const client = async () => {
    while (Date.now() < end) {
      const prompt = PROMPTS[Math.floor(Math.random() * PROMPTS.length)] ?? "";
      const seed = SEEDS[Math.floor(Math.random() * SEEDS.length)] ?? 1;
      const hangsUp = Math.random() < ABORTS;
      const answer = await ask(prompt, seed, hangsUp ? Math.floor(Math.random() * 300) : Number.POSITIVE_INFINITY);
      const expected = known.get(`${seed} ${prompt}`) ?? "";
      const right = answer.whole ? answer.text === expected : hangsUp && expected.startsWith(answer.text);
      requests += 1;
      if (!answer.whole) aborted += 1;
      if (!right) wrong += 1;
      gaps.push(...answer.gaps);
    }
  };
  const watch = async () => {
    while (Date.now() < end) {
      memory.push(await residentMemory());
      const left = Math.round((end - Date.now()) / 1000);
      console.error(
        `${left} s left, ${requests} requests, ${aborted} aborted, ${wrong} wrong, ${memory.at(-1)?.toFixed(0)} MiB`,
      );
      await sleep(Math.min(10_000, Math.max(0, end - Date.now())));
    }
  };
  await Promise.all([watch(), ...Array.from({ length: clients }, client)]);
  await sleep(1000);

  const third = Math.ceil(memory.length / 3);
  const result = {
    bench: "soak",
    minutes,
    clients,
    requests,
    aborted,
    wrong,
    slots_lost: (await metric("vllm:num_requests_running")) + (await metric("vllm:num_requests_waiting")),
    memory_mib: {
      after_warm_up: mean(memory.slice(third, 2 * third)),
      at_end: mean(memory.slice(2 * third)),
      samples: memory,
    },
    inter_token_ms: { p50: quantile(gaps, 0.5), p99: quantile(gaps, 0.99) },
  };
  await writeFile(RESULTS, `${JSON.stringify(result, null, 2)}\n`);
  console.log(JSON.stringify(result));
} finally {
  await stack.stop();
  await rm(directory, { recursive: true, force: true });
}
