import { fileURLToPath } from "node:url";
import { startPythonServer } from "../fixtures/python-server.ts";
import { testModelPath } from "../worker/test-model.ts";

const SCRIPT = fileURLToPath(new URL("llama_server.py", import.meta.url));

/** Starts llama.cpp's server on the real model, which it calls `name`. */
export async function startLlamaServer(name: string): Promise<{ url: string; stop: () => Promise<void> }> {
  const python = process.env.ATTUNE_TEST_LLAMA_PYTHON;
  if (python === undefined || python === "")
    throw new Error("Run this suite with `npm run test:remote`, which sets it up.");
  return startPythonServer(python, [SCRIPT, testModelPath(), name]);
}
