import { describe, expect, it } from "vitest";
import { Answer } from "../../../gpu-worker/engine/answer.ts";
import type { TokenLogprobs } from "../../../gpu-worker/engine/logprobs.ts";
import { type Sampling, samplingSchema } from "../../../schema/api/chat.ts";
import { tinyTokenizer } from "../../fixtures/tiny-tokenizer.ts";

const tokenizer = tinyTokenizer();
const END = 2;
const vocabulary = { tokens: tokenizer.tokenByteTable(), eosIds: new Set([END]) };

/** Lets a model that wants to say exactly `tokens` speak until its answer is over. */
function speak(tokens: number[], options: Partial<Sampling> & { maxTokens?: number } = {}) {
  const { maxTokens = 100, ...sampling } = options;
  const request = { id: "a", prompt: [3], sampling: samplingSchema.parse({ temperature: 0, ...sampling }), maxTokens };
  const answer = new Answer(request, vocabulary);
  const pieces: { text: string; logprobs: TokenLogprobs[] | undefined }[] = [];
  for (const wish of tokens) {
    const logits = new Float32Array(tokenizer.vocabSize);
    logits[wish] = 9;
    // What it says where it may not say that.
    logits[Number(tokenizer.encodeText("x")[0])] = 5;
    const { advance } = answer.next(logits);
    pieces.push({ text: advance.text, logprobs: advance.logprobs });
    if (advance.finish !== null) {
      const text = pieces.map((piece) => piece.text).join("");
      const spoken = pieces.flatMap(({ logprobs }) => logprobs ?? []).map(({ token }) => token);
      return { text, tokens: advance.completionTokens, finish: advance.finish, pieces, spoken };
    }
  }
  throw new Error("The answer did not end");
}

const says = (text: string) => [...tokenizer.encodeText(text), END];

describe("an answer", () => {
  it("ends at a token of stop_token_ids, which counts and adds no text", () => {
    const stop = tokenizer.encodeText(".");
    expect(speak(says("one.two"), { stop_token_ids: stop })).toMatchObject({ text: "one", tokens: 4, finish: "stop" });
  });

  it("goes on past the model's own end under ignore_eos, but not past stop_token_ids or max_tokens", () => {
    const past = [...says("one"), ...says("two"), ...says("more")];
    const whole = speak(past, { ignore_eos: true, maxTokens: past.length });
    expect(whole).toMatchObject({ text: "onetwomore", tokens: past.length, finish: "length" });
    expect(speak(past, { ignore_eos: true, stop_token_ids: [END] })).toMatchObject({ text: "one", finish: "stop" });
  });

  it("does not end before min_tokens: an end token gives way to the next likely one", () => {
    expect(speak(says("one"), { min_tokens: 3 })).toMatchObject({ text: "one", tokens: 4 });
    expect(speak([...says("one"), END], { min_tokens: 4 })).toMatchObject({ text: "onex", tokens: 5 });
    expect(speak(says("abc"), { min_tokens: 2, stop: ["b"] })).toMatchObject({ text: "abc" });
    expect(speak(says("abcb"), { min_tokens: 2, stop: ["b"] })).toMatchObject({ text: "abc", finish: "stop" });
    expect(speak(says("abcd"), { min_tokens: 2, stop: ["bc"] })).toMatchObject({ text: "a", finish: "stop" });
    expect(speak(says("one"), { min_tokens: 9, maxTokens: 2 })).toMatchObject({ text: "on", finish: "length" });
  });

  it("has a log-probability for every token of its text and none for its end", () => {
    const wanted = says("hé\u{1f600}llo");
    expect(speak(wanted, { logprobs: 0 }).spoken).toEqual(wanted.slice(0, -1));
    expect(speak(wanted).pieces.every(({ logprobs }) => logprobs === undefined)).toBe(true);
  });

  it("has none for what a stop string cut off", () => {
    const { text, spoken } = speak(says("one END two"), { stop: ["END"], logprobs: 0 });
    expect(text).toBe("one ");
    expect(tokenizer.decode(spoken)).toBe(text);
  });

  it("has those of what was held back at its end", () => {
    const { text, spoken, pieces } = speak(says("one EN"), { stop: ["END"], logprobs: 0 });
    expect(text).toBe("one EN");
    expect(tokenizer.decode(spoken)).toBe(text);
    // With the text, not before.
    expect(pieces.every((piece) => (piece.text === "") === (piece.logprobs?.length === 0))).toBe(true);
  });
});
