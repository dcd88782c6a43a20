import { fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { samplingSchema } from "../../../schema/api/chat.ts";
import { GENERATIONS_PATH, type GenerateRequest } from "../../../schema/wire/generate.ts";
import { signedClient } from "../../worker/signed-client.ts";
import type { ChatTarget } from "./http-load.ts";
import { attuneVersion } from "./installed-version.ts";
import { peakMiB } from "./peak-memory.ts";

const MODEL_ID = "bench";

/** Our inference worker as an operator starts it, and a client that signs as the edge does. */
export async function startWorker(gguf: string, threads: number): Promise<ChatTarget> {
  const secret = randomBytes(24).toString("hex");
  const child = fork(
    fileURLToPath(new URL("../../../gpu-worker/cli.ts", import.meta.url)),
    ["serve", "--model", gguf, "--id", MODEL_ID, "--port", "0", "--threads", String(threads)],
    {
      env: { ...process.env, ATTUNE_WORKER_SECRET: secret },
      execArgv: [],
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    },
  );
  process.once("exit", () => child.kill("SIGKILL"));
  const ended = once(child, "exit").then(() => {
    throw new Error("the worker ended; its last words are above");
  });
  // Whoever waits for a response hears of it by the broken connection.
  ended.catch(() => {});
  const [message] = await Promise.race([once(child, "message"), ended]);
  const url: string = message.url;
  await Promise.race([untilReady(url), ended]);
  const client = signedClient(url, secret);
  let count = 0;
  return {
    version: attuneVersion(),
    detail: "gpu-worker/cli.ts serve with its defaults",
    send: (content, maxTokens, signal) => {
      const id = `gen_bench${String(count++).padStart(8, "0")}`;
      return client.send("POST", GENERATIONS_PATH, generation(id, content, maxTokens), { signal });
    },
    peakMiB: () => peakMiB(child.pid),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await ended.catch(() => {});
    },
  };
}

async function untilReady(url: string): Promise<void> {
  while (!(await fetch(`${url}/readyz`)).ok) await sleep(100);
}

function generation(id: string, content: string, maxTokens: number): GenerateRequest {
  return {
    generation: id,
    dialect: "openai",
    model: MODEL_ID,
    messages: [{ role: "user", content }],
    steering: { effective: {}, method: "none", preset: null, clamped: [], not_trained: [], note: null },
    sampling: samplingSchema.parse({ temperature: 0, ignore_eos: true, max_tokens: maxTokens }),
    stream: true,
    include_usage: true,
  };
}
