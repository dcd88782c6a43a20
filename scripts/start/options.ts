import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { hubIdHint, isHubId } from "../../gpu-worker/model/hub/hub-id.ts";
import { NO_ADAPTER } from "../../gpu-worker/models/shipped.ts";

/** What every way of starting the stack lets the user choose. */
export type StackOptions = { port: number; model?: string; adapter?: string; stateDirectory?: string };

/** npm runs scripts in the package's root; paths are meant from where the user stands. */
export const fromUser = (path: string) => resolve(process.env.INIT_CWD ?? process.cwd(), path);

/** A path that exists, for only here it is known as the user wrote it, or an id on the hub. */
function pathOrHubId(text: string): string {
  if (isHubId(text)) return text;
  const path = fromUser(text);
  if (!existsSync(path)) throw new InvalidArgumentError(`There is nothing at ${path}.${hubIdHint(text)}`);
  return path;
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65535) throw new InvalidArgumentError("It must be a number from 0 to 65535.");
  return port;
}

/**
 * A command line with the options that `StackOptions` names.
 *
 * @param name what the user types before the options
 */
export function stackCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .option("--port <number>", "port of the API and the playground; 0 takes any free one", parsePort, 8787)
    .option(
      "--model <path or id>",
      "serve this instead of SmolLM2-135M-Instruct: a GGUF file, a model directory, or hf:owner/name[@revision][:file.gguf] from the " +
        "Hugging Face hub",
      pathOrHubId,
    )
    .option(
      "--adapter <path or id>",
      "merge this LoRA in PEFT's format into the model's weights: a directory, hf:owner/name[@revision], or none; without it and " +
        "--model, the one that ships",
      (text: string) => (text === NO_ADAPTER ? text : pathOrHubId(text)),
    )
    .option("--state-directory <path>", "keep database, key and logs there instead of in .attune", fromUser)
    .helpOption("--help", "show this")
    .showHelpAfterError(`(${name} --help shows the options)`)
    .allowExcessArguments(false);
}
