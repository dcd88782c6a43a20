import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { JsonlLog, readJsonl } from "../../../../gpu-worker/steerlm/evaluate/jsonl-log.ts";

const schema = z.strictObject({ n: z.number() });

let path: string;
beforeEach(async () => {
  path = join(await mkdtemp(join(tmpdir(), "attune-log-")), "rows.jsonl");
});
afterEach(() => rm(join(path, ".."), { recursive: true }));

describe("a log of finished work", () => {
  test("has after an interruption every row that was finished, and goes on after it", async () => {
    const log = await JsonlLog.open(path, schema);
    await Promise.all([1, 2, 3].map((n) => log.append({ n })));
    await log.close();
    // The process died while it wrote the fourth.
    await appendFile(path, '{"n":');
    expect(await readJsonl(path, schema)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
    const resumed = await JsonlLog.open(path, schema);
    expect(resumed.rows).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
    await resumed.append({ n: 4 });
    await resumed.close();
    expect(await readFile(path, "utf8")).toBe('{"n":1}\n{"n":2}\n{"n":3}\n{"n":4}\n');
  });

  test("names a line that it cannot have written", async () => {
    await writeFile(path, '{"n":1}\n{"m":2}\n');
    await expect(JsonlLog.open(path, schema)).rejects.toThrow(/rows\.jsonl:2: .*Remove the line/);
    await writeFile(path, '{"n":1}\noops\n');
    await expect(readJsonl(path, schema)).rejects.toThrow(/rows\.jsonl:2: not JSON/);
  });

  test("that was never begun has no rows", async () => {
    expect(await readJsonl(path, schema)).toEqual([]);
  });
});
