import { mkdtempSync, rmSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readDecoderConfig } from "../../../gpu-worker/model/config.ts";
import { openGguf } from "../../../gpu-worker/model/gguf.ts";
import { ggufWeights } from "../../../gpu-worker/model/weights.ts";
import type { EngineSettings } from "./children/serve-cells.ts";
import { type Command, EngineProcess } from "./engine-process.ts";
import { type EngineName, nodeChild, pythonChild } from "./engines.ts";
import { writeGenaiModel } from "./genai-model.ts";
import { installNodePeers, installPythonPeer } from "./install.ts";

/** Engines that are loaded, and why the others are not. */
export type StartedEngines = {
  running: Map<EngineName, EngineProcess>;
  unavailable: Partial<Record<EngineName, string>>;
};

/** Installs and starts engines one after another, so that none computes while another loads. */
export async function startEngines(
  names: readonly EngineName[],
  settings: EngineSettings,
  scratch: Scratch,
): Promise<StartedEngines> {
  const started: StartedEngines = { running: new Map(), unavailable: {} };
  for (const name of names) {
    console.log(`Starting ${name} …`);
    try {
      started.running.set(name, await EngineProcess.start(await commandOf(name, settings, scratch)));
    } catch (error) {
      // Without ours there is nothing to compare.
      if (name === "attune") throw error;
      const reason = error instanceof Error ? error.message : String(error);
      console.log(`${name} cannot be measured: ${reason}`);
      started.unavailable[name] = reason;
    }
  }
  return started;
}

async function commandOf(name: EngineName, settings: EngineSettings, scratch: Scratch): Promise<Command> {
  switch (name) {
    case "attune":
      return nodeChild("attune.ts", settings);
    case "llama.cpp":
      await installNodePeers();
      return nodeChild("llama.ts", settings);
    case "openvino":
      return pythonChild(await installPythonPeer("openvino"), "openvino_engine.py", settings);
    case "onnxruntime-genai": {
      const python = await installPythonPeer("onnxruntime-genai");
      return pythonChild(python, "onnxruntime_genai_engine.py", {
        ...settings,
        model: await scratch.genaiModel(settings),
      });
    }
    case "transformers.js":
      await installNodePeers();
      return nodeChild("transformers.ts", { ...settings, model: await scratch.genaiModel(settings) });
  }
}

/** What one run of the benchmark builds on disk; gone when it ends. */
export class Scratch {
  readonly directory: string;
  #genaiModel: Promise<string> | null = null;

  constructor() {
    this.directory = mkdtempSync(join(tmpdir(), "attune-bench-"));
    // Also when a person ends it: this is most of a gigabyte.
    process.once("exit", () => rmSync(this.directory, { recursive: true, force: true }));
  }

  /** The model in the layout of ONNX Runtime GenAI and transformers.js, built once. */
  genaiModel(settings: EngineSettings): Promise<string> {
    this.#genaiModel ??= this.#writeGenaiModel(settings);
    return this.#genaiModel;
  }

  async #writeGenaiModel({ model, threads }: EngineSettings): Promise<string> {
    const directory = join(this.directory, "genai");
    await mkdir(join(directory, "onnx"), { recursive: true });
    const gguf = await openGguf(model);
    try {
      const config = await readDecoderConfig(gguf);
      await writeGenaiModel(directory, config, ggufWeights(gguf, config), threads);
    } finally {
      await gguf.close();
    }
    return directory;
  }
}
