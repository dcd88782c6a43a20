import { pullModel } from "../../gpu-worker/model/pull.ts";
import { ensureDecoder } from "../../gpu-worker/runtime/decoder-files.ts";
import type { Progress } from "../stack/progress.ts";
import { ensureChromium } from "./chromium.ts";
import { ensureLlamaServer } from "./llama-server.ts";
import { ensureOpenAiPython } from "./openai-python.ts";
import { ensurePeft } from "./peft.ts";
import { ensureSchemathesis } from "./schemathesis.ts";

/** Projects of vitest.config.ts that never touch the real model. */
const WITHOUT_MODEL = new Set(["edge", "schemathesis"]);

/** Gets what the chosen projects need, and says where it is in the environment that the tests inherit. */
export async function setUp(projects: Set<string>, progress: Progress): Promise<void> {
  if (Array.from(projects).some((project) => !WITHOUT_MODEL.has(project))) {
    const model = await progress.step("Model", (report) =>
      pullModel({ onProgress: ({ received, total }) => report(received / total) }),
    );
    await progress.step("Decoder graph", (onProgress) => ensureDecoder(model, { onProgress }));
    process.env.ATTUNE_TEST_GGUF = model;
  }
  if (projects.has("remote") || projects.has("interop")) {
    process.env.ATTUNE_TEST_LLAMA_PYTHON = await progress.step("llama.cpp's server", () => ensureLlamaServer());
  }
  if (projects.has("interop")) {
    process.env.ATTUNE_TEST_OPENAI_PYTHON = await progress.step("OpenAI's client for Python", () =>
      ensureOpenAiPython(),
    );
    process.env.ATTUNE_TEST_PEFT_PYTHON = await progress.step("PyTorch, transformers, PEFT and TRL", () =>
      ensurePeft(),
    );
  }
  if (projects.has("schemathesis")) {
    process.env.ATTUNE_TEST_SCHEMATHESIS_PYTHON = await progress.step("Schemathesis", () => ensureSchemathesis());
  }
  // The worker's tests of graphics processors compute with the Vulkan driver that Chromium brings.
  if (projects.has("browser") || projects.has("worker")) {
    process.env.CHROME_PATH = await progress.step("Chromium", () => ensureChromium());
  }
}
