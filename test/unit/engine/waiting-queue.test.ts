import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AGING_MS, WaitingQueue } from "../../../gpu-worker/engine/waiting-queue.ts";

type Request = { name: string; priority: number; deadline: number };

const request = (name: string, priority = 0, deadline = Number.POSITIVE_INFINITY): Request => ({
  name,
  priority,
  deadline,
});

/** Puts requests in, one each millisecond, or when they say. */
function queueOf(...requests: (Request & { at?: number })[]) {
  const queue = new WaitingQueue<Request>();
  for (const [index, { at = index, ...entry }] of requests.entries()) queue.push(entry, at);
  return queue;
}

const names = (queue: WaitingQueue<Request>) => [...queue].map(({ name }) => name);

describe("the waiting queue", () => {
  it("serves who came first, of equal priority", () => {
    expect(names(queueOf(request("a"), request("b"), request("c")))).toEqual(["a", "b", "c"]);
    const together = [request("a"), request("b"), request("c")].map((entry) => ({ ...entry, at: 0 }));
    expect(names(queueOf(...together))).toEqual(["a", "b", "c"]);
  });

  it("serves a lower priority number earlier", () => {
    expect(names(queueOf(request("flex", 1), request("default"), request("urgent", -1)))).toEqual([
      "urgent",
      "default",
      "flex",
    ]);
  });

  it("lets nobody be overtaken for longer than a step of priority is worth", () => {
    const late = (at: number) => names(queueOf(request("flex", 1), { ...request("default"), at }));
    expect(late(AGING_MS - 1)).toEqual(["default", "flex"]);
    expect(late(AGING_MS)).toEqual(["flex", "default"]);
  });

  it("gives back those whose deadline has come, and keeps the others in order", () => {
    const queue = queueOf(request("a", 0, 50), request("b", 0, 49), request("c"), request("d", -1, 51));
    expect(queue.expire(48)).toEqual([]);
    expect(queue.expire(50).map(({ name }) => name)).toEqual(["a", "b"]);
    expect(names(queue)).toEqual(["d", "c"]);
  });

  const arrivals = fc.array(
    fc.record({ priority: fc.integer({ min: -5, max: 5 }), pause: fc.integer({ min: 0, max: 2 * AGING_MS }) }),
    { maxLength: 40 },
  );

  it("holds everybody exactly once, the next one first", () => {
    fc.assert(
      fc.property(arrivals, fc.array(fc.nat()), (list, takes) => {
        const queue = new WaitingQueue<Request>();
        let now = 0;
        const inside = new Set<Request>();
        for (const [index, { priority, pause }] of list.entries()) {
          now += pause;
          const entry = request(String(index), priority);
          queue.push(entry, now);
          inside.add(entry);
        }
        for (const take of takes) {
          const entry = [...queue][take % Math.max(1, queue.size)];
          if (entry === undefined) break;
          queue.remove(entry);
          queue.remove(entry);
          inside.delete(entry);
        }
        expect(new Set(queue)).toEqual(inside);
        expect(queue.size).toBe(inside.size);
        expect(queue.next).toBe([...queue][0]);
      }),
    );
  });

  it("never lets one overtake who has at most its number and came earlier, nor who has waited enough longer", () => {
    fc.assert(
      fc.property(arrivals, (list) => {
        let now = 0;
        const timed = list.map(({ priority, pause }, index) => {
          now += pause;
          return { ...request(String(index), priority), at: now };
        });
        const place = new Map(names(queueOf(...timed)).map((name, index) => [name, index]));
        for (const earlier of timed) {
          for (const later of timed.slice(Number(earlier.name) + 1)) {
            const ahead = (earlier.priority - later.priority) * AGING_MS;
            if (later.at - earlier.at < ahead) continue;
            expect(place.get(earlier.name)).toBeLessThan(place.get(later.name) ?? -1);
          }
        }
      }),
    );
  });
});
