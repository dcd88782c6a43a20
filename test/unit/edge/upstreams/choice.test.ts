import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { affinityOf } from "../../../../edge/upstreams/affinity.ts";
import { type Candidate, chooseWorker } from "../../../../edge/upstreams/choice.ts";
import type { Message } from "../../../../schema/api/chat.ts";

const candidate = (fields: Partial<Candidate> & { origin: string }): Candidate => ({
  weight: 1,
  region: null,
  standing: "free",
  load: 0,
  ...fields,
});

const candidates = fc.uniqueArray(
  fc.record({
    origin: fc.integer({ min: 1, max: 99 }).map((index) => `https://gpu-${index}.example`),
    weight: fc.constantFrom(0.5, 1, 2, 8),
    region: fc.constantFrom(null, "EU" as const, "NA" as const),
    standing: fc.constantFrom("free" as const, "full" as const, "out" as const),
    load: fc.integer({ min: 0, max: 100_000 }),
  }),
  { selector: ({ origin }) => origin, maxLength: 8 },
);
const call = fc.record({
  affinity: fc.oneof(fc.constant(null), fc.nat()),
  region: fc.constantFrom(null, "EU" as const, "AS" as const),
});
const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

describe("the choice of a worker", () => {
  it("takes none that is out, and one whenever there is one that is not", () => {
    fc.assert(
      fc.property(candidates, call, random, (all, asked, chance) => {
        const usable = all.filter(({ standing }) => standing !== "out");
        const chosen = chooseWorker(all, asked, chance);
        if (usable.length === 0) expect(chosen).toBeNull();
        else expect(usable).toContain(chosen);
      }),
    );
  });

  it("takes one with room where there is one, and of the caller's region where that has room", () => {
    fc.assert(
      fc.property(candidates, call, random, (all, asked, chance) => {
        const free = all.filter(({ standing }) => standing === "free");
        const chosen = chooseWorker(all, asked, chance);
        if (free.length > 0) expect(free).toContain(chosen);
        const near = free.filter(({ region }) => region !== null && region === asked.region);
        if (near.length > 0) expect(near).toContain(chosen);
      }),
    );
  });

  it("never takes one that is much more loaded, for its weight, than another that would do as well", () => {
    fc.assert(
      fc.property(candidates, call, random, (all, asked, chance) => {
        const chosen = chooseWorker(all, asked, chance);
        if (chosen === null) return;
        for (const other of all) {
          if (other.standing !== chosen.standing || other.region !== chosen.region) continue;
          const relative = chosen.load / chosen.weight;
          expect(relative).toBeLessThanOrEqual(2 * (other.load / other.weight) + 4_096 / chosen.weight);
          if (asked.affinity === null) expect(relative).toBeLessThanOrEqual(other.load / other.weight);
        }
      }),
    );
  });

  it("keeps a conversation where it is, whichever other worker comes or goes, and in whatever order they are named", () => {
    const idle = candidates.map((all) => all.map((one): Candidate => ({ ...one, standing: "free", load: 0 })));
    fc.assert(
      fc.property(idle, fc.nat(), fc.nat(), random, (all, affinity, gone, chance) => {
        const asked = { affinity, region: null };
        const before = chooseWorker(all, asked, chance);
        expect(chooseWorker(all.toReversed(), asked, chance)).toBe(before);
        const rest = all.filter((_, index) => index !== gone % Math.max(all.length, 1));
        if (before !== null && rest.includes(before)) expect(chooseWorker(rest, asked, chance)).toBe(before);
      }),
    );
  });

  it("spreads conversations by weight", () => {
    const all = [candidate({ origin: "https://a.example" }), candidate({ origin: "https://b.example", weight: 3 })];
    const counts = new Map<string, number>();
    for (let index = 0; index < 4000; index++) {
      const affinity = affinityOf({ model: "m", messages: [{ role: "user", content: `question ${index}` }] });
      const origin = chooseWorker(all, { affinity, region: null }, 0)?.origin ?? "";
      counts.set(origin, (counts.get(origin) ?? 0) + 1);
    }
    expect((counts.get("https://b.example") ?? 0) / 4000).toBeCloseTo(0.75, 1);
  });

  it("spreads calls without a conversation among workers that are equally loaded", () => {
    const all = [candidate({ origin: "https://a.example" }), candidate({ origin: "https://b.example" })];
    const chosen = [0.1, 0.3, 0.5, 0.7, 0.9].map((chance) =>
      chooseWorker(all, { affinity: null, region: null }, chance),
    );
    expect(new Set(chosen).size).toBe(2);
  });
});

describe("a conversation", () => {
  const system: Message = { role: "system", content: "You are a pirate." };
  const ask: Message = { role: "user", content: "Where is the treasure?" };

  it("stays the same as it goes on", () => {
    const later: Message[] = [system, ask, { role: "assistant", content: "Arr." }, { role: "user", content: "Where?" }];
    expect(affinityOf({ model: "m", messages: later })).toBe(affinityOf({ model: "m", messages: [system, ask] }));
  });

  it("is another with another model, another persona or another first question", () => {
    const places = [
      { model: "m", messages: [system, ask] },
      { model: "other", messages: [system, ask] },
      { model: "m", messages: [ask] },
      { model: "m", messages: [system, { ...ask, content: "Who are you?" }] },
    ].map(affinityOf);
    expect(new Set(places).size).toBe(places.length);
  });
});
