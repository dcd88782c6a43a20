import { EngineProcess } from "./engine-process.ts";
import { pythonChild } from "./engines.ts";
import type { ChatTarget } from "./http-load.ts";

/** llama.cpp's HTTP server, asked for OpenAI chat completions. */
export async function startLlamaServer(
  python: string,
  settings: Parameters<typeof pythonChild>[2],
): Promise<ChatTarget> {
  const server = await EngineProcess.start(pythonChild(python, "xllamacpp_server.py", settings));
  return {
    version: server.version,
    detail: server.detail,
    send: (content, maxTokens, signal) =>
      fetch(`${server.url}/v1/chat/completions`, {
        method: "POST",
        signal,
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          messages: [{ role: "user", content }],
          stream: true,
          stream_options: { include_usage: true },
          max_tokens: maxTokens,
          temperature: 0,
          ignore_eos: true,
        }),
      }),
    peakMiB: () => server.peakMiB,
    [Symbol.asyncDispose]: () => server.stop(),
  };
}
