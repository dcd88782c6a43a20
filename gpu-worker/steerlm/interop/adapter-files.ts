import { type Command, Option } from "commander";
import { type Adapter, openAdapter } from "../../model/adapter.ts";
import { type Checkpoint, openCheckpoint } from "../../model/checkpoint.ts";
import { writeGgufAdapter } from "../../model/gguf-adapter.ts";
import type { GgufFloat } from "../../model/gguf-writer.ts";
import { checkAdapterFits } from "../../model/merge.ts";
import { pullAdapter, pullModel } from "../../model/pull.ts";
import { Interruption } from "../interruption.ts";
import { summariseAdapter, summaryText } from "./adapter-summary.ts";

type ModelFlag = { model?: string };

const modelOption = (why: string) => new Option("--model <path or id>", why).env("ATTUNE_MODEL");

async function withAdapter<T>(named: string, work: (adapter: Adapter) => Promise<T>): Promise<T> {
  const adapter = await openAdapter(await pullAdapter(named, { onNotice: (text) => console.error(text) }));
  try {
    return await work(adapter);
  } finally {
    await adapter.close();
  }
}

async function withModel<T>(named: string | undefined, work: (model: Checkpoint) => Promise<T>): Promise<T> {
  const model = await openCheckpoint(await pullModel({ path: named, onNotice: (text) => console.error(text) }));
  try {
    return await work(model);
  } finally {
    await model.close();
  }
}

async function checkAdapter(named: string, { json, model }: ModelFlag & { json: boolean }): Promise<void> {
  await withAdapter(named, async (adapter) => {
    const summary = await summariseAdapter(adapter);
    console.log(json ? JSON.stringify(summary, null, 2) : summaryText(summary));
    if (model === undefined) return;
    await withModel(model, async ({ config, path }) => {
      checkAdapterFits(config, adapter);
      console.error(`It fits the shape of ${path}.`);
    });
  });
}

type ConvertFlags = ModelFlag & { to: "gguf"; out: string; type: GgufFloat };

async function convertAdapter(named: string, { model: base, out, type }: ConvertFlags): Promise<void> {
  using interrupted = new Interruption("Interrupted. Nothing was written.");
  const { signal } = interrupted;
  await withAdapter(named, (adapter) =>
    withModel(base, async (model) => {
      await writeGgufAdapter(out, adapter, model, { float: type, signal });
      console.error(
        `Wrote ${adapter.updates.size} matrices to ${out}. Load it with llama-server --model BASE.gguf --lora ${out}`,
      );
    }),
  );
}

/** Adds the commands that deal with an adapter's files, without a worker. */
export function addAdapterFileCommands(adapter: Command): void {
  adapter
    .command("check")
    .description("open a LoRA as a worker would, and say what it is")
    .argument("<path or id>", "a directory, or hf:owner/name[@revision]")
    .addOption(modelOption("check that it fits this model, too"))
    .option("--json", "print JSON", false)
    .action(checkAdapter);
  adapter
    .command("convert")
    .description("write a LoRA as a file that llama.cpp loads")
    .argument("<path or id>", "a directory, or hf:owner/name[@revision]")
    .addOption(new Option("--to <format>", "what to write").choices(["gguf"]).default("gguf"))
    .requiredOption("--out <file>", "file to write")
    .addOption(modelOption("the model it was trained on; without it, SmolLM2-135M-Instruct"))
    .addOption(new Option("--type <float>", "how numbers are stored").choices(["f32", "f16"]).default("f32"))
    .action(convertAdapter);
}
