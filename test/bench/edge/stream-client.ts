import type { Agent } from "node:http";
import { readText, send, type Target } from "./http-client.ts";
import { monotonicMs, type Script } from "./script.ts";

/** How a client leaves: it closes its connection, or resets it. */
export type Leaving = "fin" | "rst";

/** When to leave: so many milliseconds after so many deltas, of which 0 is the sending of the request. */
export type Departure = { how: Leaving; afterDeltas: number; afterMs: number };

/** A stream as its client saw it; times in milliseconds. */
export type StreamSample = {
  /** From sending the request to the first delta; `null` where none came. */
  firstDelta: number | null;
  /** Between neighbouring deltas. */
  gaps: number[];
  /** From sending the request to the end of the stream. */
  total: number;
  /** Whether every delta came, in order, and then the end. */
  complete: boolean;
  /** When the client left, on the system's monotonic clock; `null` where it stayed. */
  leftAt: number | null;
};

const DELTA = /"content":\s?"w(\d+) "/;
const DONE = "data: [DONE]";

/**
 * Reads one stream, or leaves it in between.
 *
 * @throws Error where the answer is an error, or the connection breaks off before its client leaves
 */
export async function readStream(
  agent: Agent,
  target: Target,
  script: Script,
  departure: Departure | null = null,
): Promise<StreamSample> {
  const question = await target(script, true);
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const times: number[] = [];
    let inOrder = true;
    let done = false;
    let rest = "";
    let leftAt: number | null = null;

    const finish = () => {
      const gaps = times.slice(1).map((time, index) => time - (times[index] ?? time));
      const firstDelta = times[0] === undefined ? null : times[0] - began;
      const complete = done && inOrder && times.length === script.deltas;
      resolve({ firstDelta, gaps, total: performance.now() - began, complete, leftAt });
    };
    const leave = (how: Leaving) => {
      leftAt = monotonicMs();
      if (how === "fin" || sent.socket === null) sent.destroy();
      else sent.socket.resetAndDestroy();
      finish();
    };
    const leaveSoon = () => {
      if (departure !== null && leftAt === null) setTimeout(leave, departure.afterMs, departure.how);
    };
    const readLine = (line: string) => {
      if (line === DONE) done = true;
      const index = DELTA.exec(line)?.[1];
      if (index === undefined) return;
      if (Number(index) !== times.length) inOrder = false;
      times.push(performance.now());
      if (times.length === departure?.afterDeltas) leaveSoon();
    };

    const sent = send(agent, question, (response) => {
      if (response.statusCode !== 200) {
        readText(response).then(
          (text) => reject(new Error(`HTTP ${response.statusCode}: ${text.slice(0, 400)}`)),
          reject,
        );
        return;
      }
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) readLine(line.trimEnd());
      });
      response.once("end", finish);
      response.once("error", (error) => (leftAt === null ? reject(error) : undefined));
    });
    sent.once("error", (error) => (leftAt === null ? reject(error) : undefined));
    if (departure?.afterDeltas === 0) leaveSoon();
  });
}
