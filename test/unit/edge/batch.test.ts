import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Batch } from "../../../edge/batch.ts";

describe("a batch", () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it("is sent by the first to come, with all that came while it waited", async () => {
    const batch = new Batch<string>({ waitMs: 100, most: 10 });
    batch.add("a");
    const first = batch.collect(Date.now());
    await vi.advanceTimersByTimeAsync(50);
    batch.add("b");
    expect(await batch.collect(Date.now())).toEqual([]);
    await vi.advanceTimersByTimeAsync(50);
    expect(await first).toEqual(["a", "b"]);
    batch.add("c");
    const next = batch.collect(Date.now());
    await vi.advanceTimersByTimeAsync(100);
    expect(await next).toEqual(["c"]);
  });

  it("is taken over by a later request where the one that was to send it was broken off", async () => {
    const batch = new Batch<string>({ waitMs: 100, most: 10 });
    batch.add("a");
    void batch.collect(Date.now());
    vi.clearAllTimers();
    await vi.advanceTimersByTimeAsync(5_000);
    batch.add("b");
    expect(await batch.collect(Date.now())).toEqual([]);
    await vi.advanceTimersByTimeAsync(5_000);
    const later = batch.collect(Date.now());
    await vi.advanceTimersByTimeAsync(100);
    expect(await later).toEqual(["a", "b"]);
  });

  it("says where it is full", () => {
    const batch = new Batch<string>({ waitMs: 100, most: 2 });
    expect(["a", "b", "c"].map((item) => batch.add(item))).toEqual([true, true, false]);
  });
});
