import { createInterface } from "node:readline";
import { type EngineReply, formatReply } from "../protocol.ts";

/** What is loaded, as the report tells of it, and the number that it makes of a request. */
export type Answering<Request> = {
  version: string;
  detail: string;
  answer: (request: Request) => Promise<number>;
};

const send = (reply: EngineReply) => process.stdout.write(formatReply(reply));

/** Loads with the settings in the first argument, answers one request after another, and ends with its stdin. */
export async function serveRequests<Settings, Request>(
  load: (settings: Settings) => Promise<Answering<Request>>,
): Promise<never> {
  const { version, detail, answer } = await load(JSON.parse(process.argv[2] ?? ""));
  send({ type: "ready", version, detail });
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      send({ type: "result", value: await answer(JSON.parse(line)) });
    } catch (error) {
      send({ type: "failed", reason: error instanceof Error ? error.message : String(error) });
    }
  }
  process.exit(0);
}
