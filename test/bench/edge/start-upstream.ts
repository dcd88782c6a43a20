import { fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import type { Upstream } from "./gateway.ts";
import { RUNS_PATH, type Runs, runsSchema } from "./script.ts";

const startedSchema = z.object({ url: z.url() });

export type RunningUpstream = Upstream & { pid: number; runs: () => Promise<Runs> };

/** The mock upstream in a process of its own. @throws Error where it does not start */
export async function startUpstream(started: AsyncDisposableStack): Promise<RunningUpstream> {
  const secret = randomBytes(24).toString("hex");
  const model = "bench";
  const child = fork(fileURLToPath(new URL("./children/mock-upstream.ts", import.meta.url)), [model, secret], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    execArgv: [],
  });
  const ended = once(child, "exit").then(() => {
    throw new Error("the mock upstream ended; its last words are above");
  });
  ended.catch(() => {});
  started.defer(() => void child.kill("SIGKILL"));
  process.once("exit", () => child.kill("SIGKILL"));
  const [message] = await Promise.race([once(child, "message"), ended]);
  const { url } = startedSchema.parse(message);
  const runs = async () => runsSchema.parse(await (await fetch(url + RUNS_PATH)).json());
  return { url, secret, model, pid: child.pid ?? -1, runs };
}
