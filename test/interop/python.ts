import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const environment = (name: string): string => {
  const value = process.env[name];
  if (value === undefined || value === "")
    throw new Error("Run this suite with `npm run test:interop`, which sets it up.");
  return value;
};

/** The Python that has PyTorch, transformers, PEFT and TRL. */
export const peftPython = (): string => environment("ATTUNE_TEST_PEFT_PYTHON");
/** The Python that has llama.cpp's server. */
export const llamaPython = (): string => environment("ATTUNE_TEST_LLAMA_PYTHON");
/** The Python that has OpenAI's client. */
export const openAiPython = (): string => environment("ATTUNE_TEST_OPENAI_PYTHON");

export const scriptPath = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

type Run = { cwd?: string; input?: string; env?: NodeJS.ProcessEnv };

/** Runs a program to its end. @returns what it printed. @throws Error with what it said where it fails */
export async function run(
  command: string,
  args: readonly string[],
  { cwd, input = "", env = {} }: Run = {},
): Promise<string> {
  // No request goes to the hub: what is compared lies here.
  const child = spawn(command, args, { cwd, env: { ...process.env, HF_HUB_OFFLINE: "1", ...env } });
  const pieces: Buffer[] = [];
  let said = "";
  child.stdout.on("data", (piece: Buffer) => pieces.push(piece));
  child.stderr.on("data", (piece: Buffer) => {
    said = (said + piece.toString()).slice(-4000);
  });
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  const printed = Buffer.concat(pieces).toString();
  if (code === 0) return printed;
  throw new Error(`${[command, ...args].join(" ")} exited with ${code}:\n${printed}${said}`);
}
