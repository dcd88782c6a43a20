import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { testModelPath } from "../worker/test-model.ts";

const SCRIPT = fileURLToPath(new URL("llama_server.py", import.meta.url));

/** Starts llama.cpp's server on the real model, which it calls `name`. */
export async function startLlamaServer(name: string): Promise<{ url: string; stop: () => Promise<void> }> {
  const python = process.env.ATTUNE_TEST_LLAMA_PYTHON;
  if (python === undefined || python === "")
    throw new Error("Run this suite with `npm run test:remote`, which sets it up.");
  const child = spawn(python, [SCRIPT, testModelPath(), name], { stdio: ["pipe", "pipe", "ignore"] });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once("line", resolve);
    child.once("error", reject);
    child.once("close", (code) => reject(new Error(`llama.cpp's server exited with ${code}`)));
  });
  return {
    url,
    stop: async () => {
      child.stdin.end();
      await ended;
    },
  };
}
