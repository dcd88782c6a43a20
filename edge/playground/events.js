/**
 * The JSON events of a chat stream, until `[DONE]`. Bytes are decoded across chunk borders, comments are skipped.
 *
 * @param {ReadableStream<Uint8Array>} body
 * @throws Error where the stream stops without `[DONE]`
 */
export async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  while (true) {
    const { value, done } = await reader.read();
    if (done) throw new Error("The connection broke off. The answer is incomplete.");
    const lines = (rest + value).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "data: [DONE]") return;
      if (line.startsWith("data: ")) yield JSON.parse(line.slice("data: ".length));
    }
  }
}
