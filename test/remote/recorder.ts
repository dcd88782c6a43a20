import { createServer, request as open } from "node:http";
import { listen } from "../fixtures/listen.ts";
import type { Exchange } from "../fixtures/remote-traffic.ts";

/** A proxy before a server, which keeps what goes through. Disconnects go through too. */
export async function startRecorder(target: string) {
  let exchanges: Exchange[] = [];
  const server = createServer(async (request, response) => {
    const { method = "", url: path = "", headers } = request;
    const received: Buffer[] = [];
    for await (const piece of request) received.push(piece);
    const text = Buffer.concat(received).toString();
    const onward = open(new URL(path, target), { method, headers, agent: false });
    response.on("close", () => onward.destroy());
    onward.on("error", () => response.destroy());
    onward.on("response", (answer) => {
      const { statusCode: status = 0, headers: answered } = answer;
      const type = answered["content-type"] ?? "";
      const pieces: string[] = [];
      exchanges.push({
        request: { method, path, body: text === "" ? null : JSON.parse(text) },
        response: { status, type, pieces },
      });
      response.writeHead(status, { "content-type": type });
      answer.on("data", (piece: Buffer) => {
        // Recordings are text, to be read in a review: this server never cuts a character.
        pieces.push(new TextDecoder("utf-8", { fatal: true }).decode(piece));
        response.write(piece);
      });
      answer.on("end", () => response.end());
    });
    onward.end(text);
  });
  return {
    url: await listen(server),
    /** What went through since the last call. */
    take(): Exchange[] {
      const taken = exchanges;
      exchanges = [];
      return taken;
    },
    close: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}
