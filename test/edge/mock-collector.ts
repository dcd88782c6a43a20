import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { exportSchema, type Received } from "./collected.ts";

async function readBody(request: IncomingMessage): Promise<string> {
  let body = "";
  for await (const chunk of request.setEncoding("utf8")) body += chunk;
  return body;
}

/** An OpenTelemetry collector over real HTTP, which takes what is well formed and refuses everything else. */
export async function startMockCollector(): Promise<{ url: string; close: () => Promise<void> }> {
  const received: Received[] = [];

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? "", "http://collector");
    const send = (status: number, body: unknown) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    if (pathname === "/received") {
      const trace = searchParams.get("trace");
      return void send(
        200,
        received.filter(({ spans }) => spans.some(({ traceId }) => traceId === trace)),
      );
    }
    if (request.method !== "POST" || pathname !== "/v1/traces") return void send(404, {});
    const body = await readBody(request);
    const parsed = exportSchema.safeParse(JSON.parse(body));
    if (!parsed.success) return void send(400, { message: parsed.error.message });
    const spans = parsed.data.resourceSpans.flatMap((resource) => resource.scopeSpans.flatMap((scope) => scope.spans));
    received.push({ spans, headers: request.headers, body });
    send(200, {});
  }

  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.writeHead(400).end());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The mock collector has no port.");
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${address.port}`, close };
}
