/** One server-sent event; `id` is the last one that the stream has given. */
export type ServerSentEvent = { id: string; event: string; data: string };

/** Reads server-sent events (WHATWG HTML, 9.2.6) out of text that comes in pieces, cut anywhere. */
export class EventParser {
  #pending = "";
  #wasReturn = false;
  #id = "";
  #event = "";
  #data: string[] = [];

  /** Takes the next piece; returns the events that it completes. */
  push(text: string): ServerSentEvent[] {
    // The second half of a line's end whose first half was the last piece's.
    const rest = this.#wasReturn && text.startsWith("\n") ? text.slice(1) : text;
    if (text !== "") this.#wasReturn = false;
    const events: ServerSentEvent[] = [];
    const whole = this.#pending + rest;
    let start = 0;
    for (const { index, 0: end } of whole.matchAll(/\r\n|\n|\r/g)) {
      this.#wasReturn = end === "\r" && index + 1 === whole.length;
      const event = this.#readLine(whole.slice(start, index));
      if (event !== null) events.push(event);
      start = index + end.length;
    }
    this.#pending = whole.slice(start);
    return events;
  }

  #readLine(line: string): ServerSentEvent | null {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#event = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    return null;
  }

  #dispatch(): ServerSentEvent | null {
    const event = { id: this.#id, event: this.#event === "" ? "message" : this.#event, data: this.#data.join("\n") };
    const isEmpty = this.#data.length === 0;
    this.#event = "";
    this.#data = [];
    return isEmpty ? null : event;
  }
}

/** The events of an answer as they come. Whoever stops reading closes the connection. */
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerSentEvent, void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new EventParser();
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      yield* parser.push(decoder.decode(read.value, { stream: true }));
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
