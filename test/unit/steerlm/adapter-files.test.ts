import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openGguf } from "../../../gpu-worker/model/gguf.ts";
import { addAdapterFileCommands } from "../../../gpu-worker/steerlm/interop/adapter-files.ts";
import { PEFT_ADAPTERS } from "../../fixtures/peft-adapters.ts";
import { publishedModel } from "../../fixtures/published-models.ts";
import { type TerminalRun, terminalRun } from "../../fixtures/terminal-run.ts";

const PROFILE = {
  template: "chatml",
  attributes: [
    { name: "quality", default: 4 },
    { name: "humor", default: null },
  ],
};

let directory: string;
let adapter: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "attune-adapter-files-"));
  adapter = join(directory, "adapter");
  const source = PEFT_ADAPTERS.find(({ name }) => name === "all-linear");
  await cp(source?.directory ?? "", adapter, { recursive: true });
});
afterEach(() => rm(directory, { recursive: true }));

/** `attune adapter …`. @returns what it printed. @throws Error as the terminal would show it */
async function run(...args: string[]): Promise<TerminalRun> {
  const command = new Command("adapter");
  addAdapterFileCommands(command);
  const ended = await terminalRun(command, args);
  if (ended.code !== 0) throw new Error(ended.stderr);
  return ended;
}

const model = (name: string) => ["--model", publishedModel(name).directory];

describe("attune adapter check", () => {
  it("says what an adapter is, a fact a line", async () => {
    await writeFile(join(adapter, "profile.json"), JSON.stringify(PROFILE));
    const { stdout } = await run("check", adapter);
    expect(stdout).toContain("trained on  smollm2\nrank        3\n");
    expect(stdout).toContain(
      "down_proj 2, gate_proj 2, up_proj 2, k_proj 2, o_proj 2, q_proj 2, v_proj 2, in 2 layers",
    );
    expect(stdout).toContain("profile     quality (default 4), humor (default left out)");
  });

  it("says the same to programs", async () => {
    expect(JSON.parse((await run("check", adapter, "--json")).stdout)).toMatchObject({
      base_model: "smollm2",
      ranks: [3],
      scales: [5 / 3],
      layers: 2,
      parameters: 4512,
      profile: null,
    });
  });

  it("says whether it fits a model", async () => {
    expect((await run("check", adapter, ...model("smollm2"))).stderr).toContain("It fits the shape of");
    await expect(run("check", adapter, ...model("llama2"))).rejects.toThrow("was trained on another model");
  });

  it("says why an adapter cannot be served", async () => {
    const config = { peft_type: "LORA", r: 3, lora_alpha: 5, use_dora: true };
    await writeFile(join(adapter, "adapter_config.json"), JSON.stringify(config));
    await expect(run("check", adapter)).rejects.toThrow("use_dora: DoRA is not supported");
    await expect(run("check", join(directory, "nothing"))).rejects.toThrow("There is no adapter at");
  });
});

describe("attune adapter convert", () => {
  it("writes a file for llama.cpp, of half the size where numbers take 16 bits", async () => {
    const out = join(directory, "adapter.gguf");
    const { stderr } = await run("convert", adapter, ...model("smollm2"), "--out", out, "--type", "f16");
    expect(stderr).toContain("Wrote 14 matrices");
    const gguf = await openGguf(out);
    expect(gguf.tensorNames).toHaveLength(28);
    expect(gguf.metadata.string("adapter.type")).toBe("lora");
    expect(gguf.shape("blk.1.attn_q.weight.lora_b")).toEqual([48, 3]);
    await gguf.close();
  });

  it("refuses a model that it was not trained on, and writes nothing", async () => {
    const out = join(directory, "adapter.gguf");
    await expect(run("convert", adapter, ...model("qwen2"), "--out", out)).rejects.toThrow(
      "was trained on another model",
    );
    await expect(openGguf(out)).rejects.toThrow("Cannot open");
  });
});
