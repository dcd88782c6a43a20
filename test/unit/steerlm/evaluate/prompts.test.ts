import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readPrompts } from "../../../../gpu-worker/steerlm/evaluate/prompts.ts";
import { lines } from "../datasets/read-file.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "attune-prompts-"));
});
afterEach(() => rm(directory, { recursive: true }));

const never = new AbortController().signal;
const anyLength = () => true;

async function put(name: string, ...rows: object[]): Promise<string> {
  await writeFile(join(directory, name), lines(...rows));
  return join(directory, name);
}

const questions = (count: number) =>
  Array.from({ length: count }, (_, id) => ({ question_id: id, turns: [`Question ${id}?`, "And then?"] }));

describe("the prompts of an evaluation", () => {
  test("are the first turns of any data set, each question once", async () => {
    const bench = await put("bench.jsonl", ...questions(3));
    const helpsteer = await put(
      "helpsteer.jsonl",
      { prompt: "question 1", response: "Yes.", helpfulness: 3 },
      { prompt: "Why?", response: "So.", helpfulness: 3 },
    );
    const prompts = await readPrompts([bench, helpsteer], { limit: 10, fits: anyLength }, never);
    expect(prompts.map(({ text }) => text).sort()).toEqual(["Question 0?", "Question 1?", "Question 2?", "Why?"]);
    expect(new Set(prompts.map(({ id }) => id)).size).toBe(4);
  });

  test("are fewer by a limit, from all of the file, and the same ones again with a higher limit", async () => {
    const bench = await put("bench.jsonl", ...questions(100));
    const ten = await readPrompts([bench], { limit: 10, fits: anyLength }, never);
    const forty = await readPrompts([bench], { limit: 40, fits: anyLength }, never);
    expect(forty.slice(0, 10)).toEqual(ten);
    expect(ten.some(({ text }) => Number(/\d+/.exec(text)?.[0]) >= 50)).toBe(true);
  });

  test("are of a part of the standard split", async () => {
    const bench = await put("bench.jsonl", ...questions(400));
    const of = async (...parts: string[]) =>
      (await readPrompts([bench], { limit: 1000, parts, fits: anyLength }, never)).length;
    const [train, rest] = [await of("train"), await of("validation", "test")];
    expect(train + rest).toBe(400);
    // A first byte of 205 or more: a fifth.
    expect(rest).toBeGreaterThan(50);
    expect(rest).toBeLessThan(110);
  });

  test("leave room for the answer", async () => {
    const bench = await put("bench.jsonl", ...questions(12));
    const short = (text: string) => text.length < "Question 10?".length;
    expect(await readPrompts([bench], { limit: 99, fits: short }, never)).toHaveLength(10);
  });

  test("have to be some", async () => {
    const bench = await put("bench.jsonl", { question_id: 1, turns: ["?!"] });
    await expect(readPrompts([bench], { limit: 1, fits: anyLength }, never)).rejects.toThrow(/no question to ask/);
  });
});
