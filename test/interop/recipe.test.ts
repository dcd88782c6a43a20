import { spawn } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { buildDecoder } from "../../gpu-worker/graph/decoder.ts";
import { serialiseGraph } from "../../gpu-worker/graph/serialise.ts";
import { openAdapter } from "../../gpu-worker/model/adapter.ts";
import { renderPrompt } from "../../gpu-worker/model/chat-template.ts";
import { openCheckpoint } from "../../gpu-worker/model/checkpoint.ts";
import { mergedWeights } from "../../gpu-worker/model/merge.ts";
import { DecoderSession } from "../../gpu-worker/runtime/decoder-session.ts";
import { messageSchema } from "../../schema/api/chat.ts";
import { attributeLevelsSchema, steeringProfileSchema } from "../../schema/attributes.ts";
import { publishedModel } from "../fixtures/published-models.ts";
import { peftPython, run, scriptPath } from "./python.ts";

const REPOSITORY = fileURLToPath(new URL("../../", import.meta.url));
const GUIDE = join(REPOSITORY, "docs", "interop.md");
const CLI = join(REPOSITORY, "gpu-worker", "cli.ts");
const TRAINER = join(REPOSITORY, "gpu-worker", "steerlm", "interop", "train_trl.py");

const PROFILE = /```json\n([\s\S]*?)```/;
const BLOCKS = /```sh\n([\s\S]*?)```/g;

const rows = [
  [
    { role: "user", content: "Name a colour." },
    { role: "assistant", content: "Blue.", steer: { attributes: { quality: 3, verbosity: 0 } } },
    { role: "user", content: "Why that one?" },
    {
      role: "assistant",
      content: "The sky scatters blue light more than it scatters red light.",
      steer: { attributes: { verbosity: 2 } },
    },
  ],
  [
    { role: "system", content: "You are brief." },
    { role: "user", content: "Hello there." },
    { role: "assistant", content: "Hi.", steer: { attributes: { quality: 4, complexity: 0, verbosity: 0 } } },
  ],
];

let directory: string;
let guide: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "attune-recipe-"));
  guide = await readFile(GUIDE, "utf8");
  await cp(publishedModel("smollm2").directory, join(directory, "base"), { recursive: true });
  await writeFile(join(directory, "profile.json"), PROFILE.exec(guide)?.[1] ?? "");
  await writeFile(join(directory, "data.jsonl"), rows.map((messages) => `${JSON.stringify({ messages })}\n`).join(""));
  await cp(join(REPOSITORY, "test", "fixtures", "adapters", "all-linear"), join(directory, "adapter"), {
    recursive: true,
  });
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** The guide's commands that can run here, as they run here. */
function commands(): string[] {
  const lines = [...guide.matchAll(BLOCKS)].flatMap(([, block = ""]) => block.trim().split("\n"));
  return lines.flatMap((line) => {
    if (line.startsWith("accelerate launch ")) {
      return [`${line.replace("--multi_gpu --num_processes 8", "--cpu --num_processes 1")} --steps 2 --batch 2`];
    }
    return line.startsWith("attune ") ? [line] : [];
  });
}

const shell = (line: string): [string, string[]] => [
  "bash",
  [
    "-euc",
    `attune() { "${process.execPath}" "${CLI}" "$@"; }; accelerate() { "${join(dirname(peftPython()), "accelerate")}" "$@"; }; ` +
      line.replace("gpu-worker/steerlm/interop/train_trl.py", TRAINER),
  ],
];

const SERVING = { ATTUNE_WORKER_SECRET: "a-secret-for-tests-only", ATTUNE_PORT: "0", ATTUNE_THREADS: "1" };

/** Starts a worker by a command of the guide, and stops it once it is ready. */
async function serve(line: string): Promise<void> {
  const [command, args] = shell(line.replace(/^attune /, `exec "${process.execPath}" "${CLI}" `));
  const env = { ...process.env, ...SERVING, ATTUNE_CACHE_DIR: join(directory, "cache") };
  const child = spawn(command, args, { cwd: directory, env, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  const listen = (piece: Buffer) => {
    said += piece.toString();
    if (said.includes('"msg":"ready"')) child.kill("SIGTERM");
  };
  child.stdout.on("data", listen);
  child.stderr.on("data", listen);
  await new Promise((resolve) => child.once("close", resolve));
  expect(said).toContain('"msg":"ready"');
}

describe("the guide to other tools", () => {
  it("has only commands that run", async () => {
    const lines = commands();
    expect(lines.map((line) => line.split(" ").slice(0, 3).join(" "))).toEqual([
      "attune adapter check",
      "attune adapter convert",
      "attune data convert",
      "accelerate launch --cpu",
      "attune adapter check",
      "attune serve --model",
      "attune data convert",
    ]);
    for (const line of lines) {
      if (line.startsWith("attune serve")) await serve(line);
      else await run(...shell(line), { cwd: directory, env: { CUDA_VISIBLE_DEVICES: "", OMP_NUM_THREADS: "1" } });
    }
  });

  it("trains an adapter that answers here as in PEFT", async () => {
    const adapter = await openAdapter(join(directory, "trained"));
    const model = await openCheckpoint(join(directory, "base"));
    const { tokens } = publishedModel("smollm2").expected;
    const graph = buildDecoder(model.config, mergedWeights(model.weights, model.config, adapter), "fp32");
    const session = new DecoderSession(await serialiseGraph(graph, null), model.config, 1);
    const cache = session.allocate(1, tokens.length);
    const logits = session.run({ cache, firstSlot: 0, tokens: [tokens], computed: [0] }).slice(0, model.config.vocab);
    session.release();
    expect(adapter.profile?.attributes.map(({ name }) => name)).toEqual(["quality", "complexity", "verbosity"]);
    await model.close();
    await adapter.close();
    const script =
      "import json, sys, torch; from peft import PeftModel; from transformers import AutoModelForCausalLM as M; " +
      "model = PeftModel.from_pretrained(M.from_pretrained('base', dtype=torch.float32), 'trained').eval(); " +
      "print(json.dumps(model(torch.tensor([json.load(sys.stdin)])).logits[0, -1].tolist()))";
    const printed = await run(peftPython(), ["-c", script], { cwd: directory, input: JSON.stringify(tokens) });
    const wanted = z.array(z.number()).parse(JSON.parse(printed));
    const worst = wanted.map((value, index) => Math.abs(value - (logits[index] ?? Number.NaN)));
    expect(Math.max(...worst)).toBeLessThan(1e-3);
  });

  it("trains on the prompts that the worker renders, token for token", async () => {
    const profile = steeringProfileSchema.parse(JSON.parse(await readFile(join(directory, "profile.json"), "utf8")));
    const model = await openCheckpoint(join(directory, "base"));
    const tokenizer = await model.readTokenizer();
    const template = await model.readTemplate();
    await model.close();
    const expected = rows.flatMap((row) => {
      const messages = row.map((message) => messageSchema.parse(message));
      return messages.flatMap((message, index) => {
        if (message.role !== "assistant") return [];
        const steering = {
          effective: attributeLevelsSchema.parse(message.steer?.attributes),
          method: "label_line" as const,
          preset: null,
          clamped: [],
          not_trained: [],
          note: null,
        };
        const { ids } = renderPrompt(tokenizer, template, { messages: messages.slice(0, index), steering, profile });
        return [ids];
      });
    });
    const input = rows.map((messages) => JSON.stringify({ messages })).join("\n");
    const args = [scriptPath("chat_ids.py"), TRAINER, join(directory, "base"), join(directory, "profile.json")];
    expect(JSON.parse(await run(peftPython(), args, { input }))).toEqual(expected);
  });
});
