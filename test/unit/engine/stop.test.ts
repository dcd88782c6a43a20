import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StopMatcher } from "../../../gpu-worker/engine/stop.ts";

function run(stops: string[], pieces: string[]): { text: string; stopped: boolean } {
  const matcher = new StopMatcher(stops);
  let text = "";
  for (const piece of pieces) {
    const result = matcher.push(piece);
    text += result.text;
    if (result.stopped) return { text, stopped: true };
  }
  return { text: text + matcher.flush(), stopped: false };
}

describe("StopMatcher", () => {
  it("ends the text right before a stop string that comes in pieces", () => {
    expect(run(["END"], ["one E", "N", "D two"])).toEqual({ text: "one ", stopped: true });
  });

  it("lets out what only looked like the beginning of one", () => {
    expect(run(["END"], ["an E", "NT"])).toEqual({ text: "an ENT", stopped: false });
  });

  it("holds back no more than what could still become a stop string", () => {
    const matcher = new StopMatcher(["\n\n"]);
    expect(matcher.push("a line\n").text).toBe("a line");
    expect(matcher.push("next").text).toBe("\nnext");
  });

  it("lets the earliest of several win", () => {
    expect(run(["world", "lo w"], ["hello world"])).toEqual({ text: "hel", stopped: true });
  });

  it("gives the same text however it is cut into pieces", () => {
    const letters = fc.array(fc.constantFrom("a", "b", "ab", "ba", "aab", ""), { maxLength: 20 });
    const stops = fc.array(fc.constantFrom("aa", "aba", "bbb", "abab"), { maxLength: 3 });
    fc.assert(
      fc.property(stops, letters, (list, pieces) => {
        const whole = pieces.join("");
        const found = list.map((stop) => whole.indexOf(stop)).filter((index) => index >= 0);
        const result = run(list, pieces);
        expect(result.stopped).toBe(found.length > 0);
        // Cut into pieces, the first stop to be complete wins; nothing of it ever goes out.
        expect(whole.startsWith(result.text)).toBe(true);
        expect(list.some((stop) => result.text.includes(stop))).toBe(false);
        if (!result.stopped) expect(result.text).toBe(whole);
      }),
    );
  });
});
