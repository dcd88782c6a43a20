import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CHAT_COMPLETIONS } from "../../../edge/generations/dialect.ts";
import { EventScanner } from "../../../edge/generations/event-scanner.ts";
import { BROKEN_OFF, HEARTBEAT_MS, type RelayEnding, relayEvents } from "../../../edge/generations/relay.ts";
import { DONE_LINE, formatFrame, RESPONSE_ENDINGS } from "../../../schema/wire/frames.ts";

const encoder = new TextEncoder();
const frame = (sequence: number, content: string) =>
  formatFrame({ content }, { generation: "gen_abc", sequence, completionTokens: sequence + 1 });
const DONE = `${DONE_LINE}\n\n`;

/** The bytes cut at the given places. */
function cut(text: string, places: number[]): Uint8Array[] {
  const bytes = encoder.encode(text);
  const edges = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return edges.slice(1).map((end, index) => bytes.slice(edges[index], end));
}

describe("the event scanner", () => {
  it("passes every byte on, in whole events only, and reads the usage, however the network cuts the stream", () => {
    const stream = `: admitted\n\n${frame(0, "Grüß 👋🏽\nid: gen_x:9:9")}${frame(1, "世界")}${DONE}`;
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 30 }), (places) => {
        const scanner = new EventScanner();
        const passed = cut(stream, places).map((chunk) => new TextDecoder().decode(scanner.push(chunk)));
        expect(passed.join("")).toBe(stream);
        for (const events of passed) expect(events).toMatch(/^$|\n\n$/);
        expect(scanner.ended).toBe(true);
        expect(scanner.lastFrame).toEqual({ generation: "gen_abc", sequence: 1, completionTokens: 2 });
      }),
    );
  });

  it("takes only a whole [DONE] line, or the worker's error, for the end", () => {
    const endedBy = (text: string) => {
      const scanner = new EventScanner();
      scanner.push(encoder.encode(text));
      return scanner.ended;
    };
    expect(endedBy(frame(0, DONE_LINE))).toBe(false);
    expect(endedBy(`${DONE_LINE}x\n\n`)).toBe(false);
    expect(endedBy(DONE_LINE)).toBe(false);
    expect(endedBy(DONE)).toBe(true);
    expect(endedBy(formatFrame({ error: { message: "x" } }))).toBe(true);
  });

  it.each(RESPONSE_ENDINGS)("takes the event %s for the end, and none of the others of a response", (ending) => {
    const scanner = new EventScanner();
    for (const event of ["response.created", "response.output_text.done", `${ending}.not`]) {
      scanner.push(encoder.encode(formatFrame({ type: event }, undefined, event)));
    }
    expect(scanner.ended).toBe(false);
    scanner.push(encoder.encode(formatFrame({ type: ending }, undefined, ending)));
    expect(scanner.ended).toBe(true);
  });
});

/** A relay over a source that the test writes to, and a reader of what the client gets. */
function relay() {
  const source = new TransformStream<Uint8Array, Uint8Array>(undefined, { highWaterMark: 100 }, { highWaterMark: 100 });
  const writer = source.writable.getWriter();
  const endings: RelayEnding[] = [];
  const scanner = new EventScanner();
  const broken = { ...CHAT_COMPLETIONS, error: BROKEN_OFF };
  const reader = relayEvents(source.readable, scanner, broken, (ending) => endings.push(ending)).getReader();
  return {
    write: (text: string) => writer.write(encoder.encode(text)),
    closeSource: () => writer.close(),
    breakSource: () => writer.abort(new Error("connection reset")),
    read: async () => {
      const { value, done } = await reader.read();
      return done ? null : new TextDecoder().decode(value);
    },
    cancel: () => reader.cancel(),
    endings,
    scanner,
  };
}

describe("the relay", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.spyOn(console, "error").mockImplementation(() => {});
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

  it("writes a comment at once, then the worker's events as they are", async () => {
    const { read, write } = relay();
    expect(await read()).toBe(": hb\n\n");
    await write(frame(0, "a"));
    expect(await read()).toBe(frame(0, "a"));
  });

  it("writes a comment whenever nothing was written for HEARTBEAT_MS, never inside an event", async () => {
    const { read, write } = relay();
    await read();
    const whole = frame(0, "a");
    await write(whole.slice(0, 20));
    const beat = read();
    await vi.advanceTimersByTimeAsync(HEARTBEAT_MS);
    expect(await beat).toBe(": hb\n\n");
    await write(whole.slice(20));
    expect(await read()).toBe(whole);
  });

  it("ends as the worker ends", async () => {
    const { read, write, closeSource, endings } = relay();
    await read();
    await write(DONE);
    await closeSource();
    expect(await read()).toBe(DONE);
    expect(await read()).toBeNull();
    expect(endings).toEqual(["source"]);
  });

  it.each(["closeSource", "breakSource"] as const)(
    "turns an early end (%s) into an error, without half an event",
    async (how) => {
      const mock = relay();
      await mock.read();
      await mock.write(frame(0, "a"));
      expect(await mock.read()).toBe(frame(0, "a"));
      if (how === "closeSource") await mock.write(frame(1, "b").slice(0, 30));
      await mock[how]();
      expect(await mock.read()).toMatch(/^data: \{"error":\{.*"code":"generation_failed"\}\}\n\n$/);
      expect(await mock.read()).toBeNull();
      expect(mock.endings).toEqual(["source"]);
      expect(mock.scanner.lastFrame?.completionTokens).toBe(1);
    },
  );

  it("tells once that the client has gone", async () => {
    const { read, cancel, closeSource, endings } = relay();
    await read();
    await cancel();
    await closeSource().catch(() => {});
    await vi.advanceTimersByTimeAsync(10 * HEARTBEAT_MS);
    expect(endings).toEqual(["client"]);
  });
});
