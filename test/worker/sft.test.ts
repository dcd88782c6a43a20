import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { openAdapter } from "../../gpu-worker/model/adapter.ts";
import { openCheckpoint } from "../../gpu-worker/model/checkpoint.ts";
import { ensureDecoder } from "../../gpu-worker/runtime/decoder-files.ts";
import { DecoderSession } from "../../gpu-worker/runtime/decoder-session.ts";
import { runReplyStep } from "../../gpu-worker/runtime/reply-step.ts";
import { promptOf } from "../../gpu-worker/steerlm/sft/prompt.ts";
import { sftCommand } from "../../gpu-worker/steerlm/sft/sft-command.ts";
import { readCheckpoint } from "../../gpu-worker/steerlm/training/checkpoint.ts";
import { openTraining } from "../../gpu-worker/steerlm/training/open-training.ts";
import type { AttributeLevels } from "../../schema/attributes.ts";
import { type TerminalRun, terminalRun } from "../fixtures/terminal-run.ts";
import { TINY_CONFIG, writeTinyModel } from "../fixtures/tiny-llama.ts";

const CLI = fileURLToPath(new URL("../../gpu-worker/cli.ts", import.meta.url));
const [RANK, ALPHA] = [8, 16];
const OPTIONS = [
  ...["--steps", "60", "--lr", "0.01", "--warm-up", "3", "--rank", String(RANK), "--alpha", String(ALPHA)],
  ...["--batch-tokens", "600", "--micro-tokens", "300", "--cores", "1", "--contrast", "0.3"],
];

/** A busy machine takes its time to start a process. */
const TIMEOUT = 120_000;

/** The answer to everything, short and long. */
const SHORT = "no.";
const LONG = "yes yes yes.";

let model: Awaited<ReturnType<typeof writeTinyModel>>;
let directory: string;

type Run = Pick<TerminalRun, "code" | "stderr">;

const argumentsFor = (out: string, args: string[]) => [
  join(directory, "rows.jsonl"),
  ...["--model", model.path, "--out", join(directory, out), ...args],
];

/** `attune sft …`, as a terminal shows it. */
const sft = (out: string, args: string[]): Promise<TerminalRun> => terminalRun(sftCommand(), argumentsFor(out, args));

/** The same in a process of its own, at which somebody presses Ctrl-C once it has said something. */
async function stoppedSft(out: string, args: string[], after: string): Promise<Run> {
  const child = spawn(process.execPath, [CLI, "sft", ...argumentsFor(out, args)], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  let isStopped = false;
  child.stderr.setEncoding("utf8").on("data", (text) => {
    stderr += text;
    if (!isStopped && stderr.includes(after)) isStopped = child.kill("SIGINT");
  });
  const [code] = await once(child, "close");
  return { code, stderr };
}

const adapterBytes = (out: string) => readFile(join(directory, out, "adapter", "adapter_model.safetensors"));

async function historyOf(out: string): Promise<Record<string, number>[]> {
  const text = await readFile(join(directory, out, "history.jsonl"), "utf8");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

beforeAll(async () => {
  model = await writeTinyModel();
  vi.stubEnv("ATTUNE_CACHE_DIR", model.directory);
  directory = await mkdtemp(join(tmpdir(), "attune-sft-"));
  const rows = ["Go?", "Now?", "Why?", "Us?"].flatMap((prompt) => [
    { prompt, response: SHORT, quality: 3, verbosity: 0 },
    { prompt, response: LONG, quality: 3, verbosity: 4 },
  ]);
  await writeFile(join(directory, "rows.jsonl"), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await model.remove();
  await rm(directory, { recursive: true });
});

describe("attune sft", { timeout: TIMEOUT }, () => {
  let whole: Run;
  beforeAll(async () => {
    whole = await sft("whole", OPTIONS);
  }, TIMEOUT);

  /** What the model was asked, and how. */
  async function promptFor(levels: AttributeLevels): Promise<{ prompt: number[]; reply: (text: string) => number[] }> {
    const { profile } = await readAdapter();
    const checkpoint = await openCheckpoint(model.path);
    const [tokenizer, template] = [await checkpoint.readTokenizer(), await checkpoint.readTemplate()];
    await checkpoint.close();
    const prompt = promptOf(tokenizer, template, [{ role: "user", content: "Go?" }], levels, profile);
    return { prompt, reply: (text) => [...tokenizer.encodeText(text, false), 2] };
  }

  async function readAdapter() {
    const adapter = await openAdapter(join(directory, "whole", "adapter"));
    await adapter.close();
    return adapter;
  }

  /** Log-probabilities over the vocabulary after each token, by the decoder that serves the adapter. */
  async function served(tokens: number[]): Promise<number[][]> {
    const decoder = await ensureDecoder(model.path, {
      adapter: join(directory, "whole", "adapter"),
      precision: "fp32",
    });
    const session = new DecoderSession(decoder, TINY_CONFIG, 1);
    try {
      const cache = session.allocate(1, tokens.length);
      return tokens.map((token, index) => {
        const logits = [...session.run({ cache, firstSlot: 0, tokens: [[token]], computed: [index] })];
        const total = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
        return logits.map((logit) => logit - total);
      });
    } finally {
      session.release();
    }
  }

  it("trains a model whose loss falls and that tells the levels apart", async () => {
    expect(whole, whole.stderr).toMatchObject({ code: 0 });
    expect(whole.stderr).toContain("Replies: 8 rows.");
    expect(whole.stderr).toMatch(/verbosity +4 +0 +0 +0 +4\n/);
    expect(whole.stderr).toMatch(/Trained 60 steps\. Serve the adapter with --adapter .*adapter\.\n$/);
    const history = await historyOf("whole");
    expect(history).toHaveLength(60);
    expect(history.at(-1)?.nll).toBeLessThan((history[0]?.nll ?? 0) / 5);
    const last = history.slice(-10).flatMap(({ right_verbosity }) => right_verbosity ?? []);
    expect(last.reduce((sum, share) => sum + share, 0) / last.length).toBeGreaterThan(0.95);
  });

  it("makes answers obey the label line that is asked for", async () => {
    for (const [verbosity, answer] of [
      [0, SHORT],
      [4, LONG],
    ] as const) {
      const { prompt, reply } = await promptFor({ quality: 3, verbosity });
      const tokens = reply(answer);
      const logprobs = await served([...prompt, ...tokens]);
      const likeliest = logprobs.slice(prompt.length - 1, -1).map((row) => row.indexOf(Math.max(...row)));
      expect(likeliest).toEqual(tokens);
    }
  });

  it("writes PEFT's files, which give the very log-probabilities that training saw", async () => {
    const { updates, profile } = await readAdapter();
    expect(updates.size).toBe(7 * TINY_CONFIG.layers);
    expect(updates.get("model.layers.1.mlp.down_proj")).toMatchObject({ rank: RANK, scale: ALPHA / RANK });
    expect(profile).toEqual({
      template: "chatml",
      attributes: [
        { name: "quality", default: 3 },
        { name: "verbosity", default: 0 },
      ],
    });
    const { prompt, reply } = await promptFor({ quality: 3, verbosity: 4 });
    const tokens = [...prompt, ...reply(LONG)];
    const given = tokens.map((_, index) => index < prompt.length);
    const row = { tokens, weights: given.map((is) => (is ? 0 : 1)), inReply: given.map((is) => !is) };
    const lora = { rank: RANK, scale: ALPHA / RANK };
    const step = { kind: "reply", purpose: "evaluate", lora } as const;
    const { session, config } = await openTraining(model.path, step, { seed: "other", cores: 1 });
    try {
      const checkpoint = await readCheckpoint(join(directory, "whole", "checkpoint"));
      session.parameters.values.set(checkpoint?.parameters ?? []);
      const { tokenLogprobs } = runReplyStep(session, config, { rows: [row], pairs: [] });
      const logprobs = await served(tokens);
      const expected = tokens.slice(prompt.length).map((token, index) => logprobs[prompt.length - 1 + index]?.[token]);
      for (const [index, logprob] of tokenLogprobs.entries()) expect(logprob).toBeCloseTo(expected[index] ?? 0, 2);
    } finally {
      session.release();
    }
  });

  it("begins with an adapter of any scale where it ended, but none of another rank", async () => {
    const start = ["--start", join(directory, "whole", "adapter"), "--steps", "1", "--alpha", "4"];
    expect(await sft("more", [...OPTIONS, ...start])).toMatchObject({ code: 0 });
    const [last] = (await historyOf("whole")).slice(-1);
    const [first] = await historyOf("more");
    expect(first?.nll).toBeLessThan((last?.nll ?? 0) + 0.1);
    const refused = await sft("none", [...OPTIONS, ...start, "--rank", "4"]);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("train with --rank 8") });
  });

  it("stops at Ctrl-C after a whole step, and goes on to the same adapter, to the last bit", async () => {
    const stopped = await stoppedSft("parts", OPTIONS, "step 1/60");
    expect(stopped, stopped.stderr).toMatchObject({ code: 130 });
    expect(stopped.stderr).toMatch(/Interrupted after \d+ of 60 steps\. Go on with the same command and --resume\.\n$/);
    expect((await historyOf("parts")).length).toBeLessThan(60);
    expect(await readdir(join(directory, "parts"))).toEqual(
      expect.arrayContaining(["adapter", "checkpoint", "history.jsonl"]),
    );
    const { code } = await sft("parts", [...OPTIONS, "--resume"]);
    expect(code).toBe(0);
    expect((await adapterBytes("parts")).equals(await adapterBytes("whole"))).toBe(true);
  });

  it("goes on with the same options and files only, and never begins over what is there", async () => {
    const again = await sft("whole", OPTIONS);
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining("--resume") });
    const other = await sft("whole", [...OPTIONS, "--resume", "--contrast", "0.5"]);
    expect(other).toMatchObject({ code: 1, stderr: expect.stringContaining("--contrast: 0.3 when it was begun, 0.5") });
  });

  it("says what to do where it cannot begin", async () => {
    const cases: [string[], string][] = [
      [[], "Say how long to train with --steps or --tokens."],
      [["--steps", "1", "--max-prompt", "1"], "raise --max-prompt"],
      [["--steps", "1", "--focus", "humor=1"], "No reply has a label to balance by"],
    ];
    for (const [args, text] of cases) {
      const { code, stderr } = await sft("none", args);
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining(text) });
    }
  });
});
