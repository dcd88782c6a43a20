import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import { afterAll, beforeAll } from "vitest";
import { type Stack, startStack } from "../../scripts/stack.ts";

/** What `npm start` starts, on free ports and with a state of its own, for the tests of one file. */
export function runningStack() {
  let stack: Stack | undefined;
  let directory: string | undefined;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "attune-e2e-"));
    stack = await startStack({ port: 0, stateDirectory: directory });
  });
  afterAll(async () => {
    await stack?.stop();
    if (directory !== undefined) await rm(directory, { recursive: true, force: true });
  });

  const current = (): Stack => {
    if (stack === undefined) throw new Error("The stack is not running");
    return stack;
  };
  return {
    current,
    /** The official client, without retries that would hide an error. */
    client: (apiKey = current().key) => new OpenAI({ apiKey, baseURL: `${current().url}/v1`, maxRetries: 0 }),
    /** A raw request with the demo key. */
    send(method: string, path: string, body?: unknown, apiKey = current().key): Promise<Response> {
      const text = typeof body === "string" ? body : JSON.stringify(body);
      const headers = { authorization: `Bearer ${apiKey}`, "content-type": "application/json" };
      return fetch(current().url + path, { method, headers, ...(body === undefined ? {} : { body: text }) });
    },
    /** One sample of the inference worker's metrics, 0 where it was never counted. */
    async metric(name: string): Promise<number> {
      const text = await (await fetch(`${current().workerUrl}/metrics`)).text();
      const line = text.split("\n").find((candidate) => candidate.startsWith(`${name} `));
      return Number(line?.slice(name.length + 1) ?? 0);
    },
  };
}
