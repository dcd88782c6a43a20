import { brotliCompressSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { parquetWriteBuffer } from "hyparquet-writer";
import { describe, expect, test } from "vitest";
import { jsonArray, jsonLines } from "../../../../gpu-worker/steerlm/datasets/json-rows.ts";
import { collected, conversationsOf, lines, outcomesOf } from "./read-file.ts";

const rows = [
  { prompt: "Who?", response: "Ann", helpfulness: 4, correctness: 4, coherence: 4, complexity: 1, verbosity: 0 },
  {
    prompt: "Why?",
    response: "Because of “it”,\nI think.",
    helpfulness: 1,
    correctness: 2,
    coherence: 3,
    complexity: 2,
    verbosity: 2,
  },
];

/** A text in pieces, as files come. */
async function* pieces(text: string, size: number) {
  for (let at = 0; at < text.length; at += size) yield text.slice(at, at + size);
}

const column = (name: keyof (typeof rows)[number], type: "STRING" | "INT32" | "INT64") => ({
  name,
  type,
  data: rows.map((row) => (type === "INT64" ? BigInt(row[name]) : row[name])),
});

const columns = (integers: "INT32" | "INT64") => [
  column("prompt", "STRING"),
  column("response", "STRING"),
  ...(["helpfulness", "correctness", "coherence", "complexity", "verbosity"] as const).map((name) =>
    column(name, integers),
  ),
];

describe("a file", () => {
  test.each([
    ["JSON lines", lines(...rows)],
    ["JSON lines with CRLF, blank lines and a byte order mark", `\uFEFF${lines(...rows).replaceAll("\n", "\r\n\r\n")}`],
    ["JSON lines without an end of line", lines(...rows).trimEnd()],
    ["a JSON array", JSON.stringify(rows)],
    ["a JSON array, indented", JSON.stringify(rows, null, 4)],
    ["JSON lines in gzip", gzipSync(lines(...rows))],
    ["a JSON array in gzip", gzipSync(JSON.stringify(rows))],
    ["parquet in Snappy", new Uint8Array(parquetWriteBuffer({ columnData: columns("INT32"), codec: "SNAPPY" }))],
    [
      "parquet of several row groups, with integers of 64 bits",
      new Uint8Array(parquetWriteBuffer({ columnData: columns("INT64"), rowGroupSize: 1, codec: "UNCOMPRESSED" })),
    ],
    [
      "parquet in gzip",
      new Uint8Array(
        parquetWriteBuffer({
          columnData: columns("INT32"),
          codec: "GZIP",
          compressors: { GZIP: (bytes) => gzipSync(bytes) },
        }),
      ),
    ],
    [
      "parquet in Brotli",
      new Uint8Array(
        parquetWriteBuffer({
          columnData: columns("INT32"),
          codec: "BROTLI",
          compressors: { BROTLI: (bytes) => brotliCompressSync(bytes) },
        }),
      ),
    ],
  ])("reads alike as %s", async (_, content) => {
    expect(await conversationsOf(content)).toEqual(await conversationsOf(lines(...rows)));
  });

  test("holds CSV with quotes, commas and line ends in a field", async () => {
    const csv = 'text,is_toxic\r\n"Well, ""you""\nand I",Toxic\r\nhello,Not Toxic\r\n';
    const conversations = await conversationsOf(csv);
    expect(conversations.map(({ turns }) => turns)).toEqual([
      [{ role: "assistant", text: 'Well, "you"\nand I', labels: { toxicity: 4 } }],
      [{ role: "assistant", text: "hello", labels: { toxicity: 0 } }],
    ]);
  });

  test("without rows is no error", async () => {
    expect(await outcomesOf("")).toEqual([]);
    expect(await outcomesOf("[]")).toEqual([]);
    expect(await outcomesOf("\n\n")).toEqual([]);
  });

  test("that is cut off is an error that names it, or a bad row", async () => {
    const packed = gzipSync(lines(...Array.from({ length: 500 }, (_, id) => ({ ...rows[0], prompt: `Number ${id}` }))));
    await expect(outcomesOf(packed.subarray(0, packed.length - 20))).rejects.toThrow(
      /rows cannot be read: unexpected end/,
    );
    const parquet = new Uint8Array(parquetWriteBuffer({ columnData: columns("INT32") }));
    await expect(outcomesOf(parquet.subarray(0, 100))).rejects.toThrow(/rows cannot be read/);
    expect((await outcomesOf(JSON.stringify(rows).slice(0, -30))).at(-1)).toEqual({
      kind: "bad row",
      line: 1,
      reason: "the file ends inside its array",
    });
  });

  test("of CSV whose quotes go wrong is an error that names it and the line", async () => {
    await expect(outcomesOf('text,is_toxic\n"open,Toxic\n')).rejects.toThrow(/rows cannot be read: .*line/);
  });

  test("of no known format says what it has, and which formats there are", async () => {
    await expect(outcomesOf(lines({ a: 1, b: 2 }))).rejects.toThrow(/line 1 has a, b.*--format:\n {2}attune/s);
  });
});

describe("a bad row", () => {
  const good = (prompt: string) => ({ prompt, response: "Yes." });

  test("is reported with its line, and the others are read", async () => {
    const content = `${lines(good("a"))}\n{"prompt": "b", "respon\n${lines({ prompt: "c" }, good("d"))}`;
    const outcomes = await outcomesOf(content);
    expect(outcomes.map((outcome) => (outcome.kind === "bad row" ? outcome.line : outcome.kind))).toEqual([
      "conversation",
      3,
      4,
      "conversation",
    ]);
    expect(outcomes[1]).toMatchObject({ reason: expect.stringContaining("not JSON") });
    expect(outcomes[2]).toMatchObject({ reason: expect.stringContaining("response") });
  });

  test("may stand first: the format is known by the first row that has one", async () => {
    const outcomes = await outcomesOf(`{"prompt": \n${lines(good("a"))}`);
    expect(outcomes.map(({ kind }) => kind)).toEqual(["bad row", "conversation"]);
  });

  test("of a JSON array is reported with the line it begins at", async () => {
    const content = `[\n  {"prompt": "a",\n   "response": "b"},\n\n  {"prompt": 7,\n   "response": "b"},\n  {oops}\n]`;
    const outcomes = await outcomesOf(content);
    expect(outcomes.map((outcome) => (outcome.kind === "bad row" ? outcome.line : outcome.kind))).toEqual([
      "conversation",
      5,
      7,
    ]);
  });

  test("of a CSV file is reported with the line it begins at", async () => {
    const outcomes = await outcomesOf('text,is_toxic\n"two\nlines",Toxic\na,b,c\nd,Perhaps\ne,Toxic\n');
    expect(outcomes.map((outcome) => (outcome.kind === "bad row" ? outcome.line : outcome.kind))).toEqual([
      "conversation",
      4,
      5,
      "conversation",
    ]);
  });

  test("is what has a level beyond the scale", async () => {
    expect(await outcomesOf(lines({ ...rows[0], verbosity: 7 }))).toEqual([
      { kind: "bad row", line: 1, reason: "verbosity: must be from 0 to 4" },
    ]);
  });
});

describe("JSON, whatever it holds and wherever the file is cut into pieces,", () => {
  const anyObject = fc.dictionary(fc.string({ unit: "grapheme" }), fc.jsonValue({ stringUnit: "grapheme" }));
  const separators = fc.constantFrom(undefined, 1, "\t");

  test("comes back from an array", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyObject),
        separators,
        fc.integer({ min: 1, max: 40 }),
        async (values, indent, size) => {
          const read = await collected(jsonArray(pieces(JSON.stringify(values, null, indent), size)));
          expect(read.map((row) => ("value" in row ? row.value : row.reason))).toEqual(
            JSON.parse(JSON.stringify(values)),
          );
        },
      ),
    );
  });

  test("comes back from lines, U+2028 included", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyObject), fc.integer({ min: 1, max: 40 }), async (values, size) => {
        const rowsOf = [...values, { separator: "\u2028" }];
        const read = await collected(jsonLines(pieces(lines(...rowsOf), size)));
        expect(read).toEqual(
          rowsOf.map((value, index) => ({ line: index + 1, value: JSON.parse(JSON.stringify(value)) })),
        );
      }),
    );
  });
});
