import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Checkpoint } from "../../../../gpu-worker/steerlm/training/checkpoint.ts";
import { RunDirectory } from "../../../../gpu-worker/steerlm/training/run-directory.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "attune-run-"));
});
afterEach(() => rm(directory, { recursive: true }));

const open = (resume = true) => RunDirectory.open(directory, { resume });

const checkpoint = (step: number): Checkpoint => ({
  identity: { "--lr": 0.001, data: "abc" },
  step,
  running: { nll: { sum: 3.5, count: 2 } },
  parameters: Float32Array.of(1, -0, 3e-41, step),
  optimiser: Uint8Array.of(1, 2, 3, 4, 5),
});

describe("the directory of a training run", () => {
  test("gives back what was saved, to the last bit", async () => {
    using run = await open();
    expect(await run.restore(checkpoint(7).identity)).toBeNull();
    await run.save(checkpoint(6));
    await run.save(checkpoint(7));
    expect(await run.restore(checkpoint(7).identity)).toEqual(checkpoint(7));
  });

  test("belongs to one process at a time", async () => {
    using _run = await open();
    await expect(open()).rejects.toThrow(/Another process trains in .*Ctrl-C/);
  });

  test("is free again once a run has ended", async () => {
    (await open())[Symbol.dispose]();
    (await open())[Symbol.dispose]();
  });

  test("is not begun anew over a run that is there", async () => {
    {
      using run = await open();
      await run.save(checkpoint(1));
    }
    await expect(open(false)).rejects.toThrow(/holds a training run.*--resume/);
  });

  test("names what differs where the run was begun otherwise", async () => {
    using run = await open();
    await run.save(checkpoint(1));
    const other = run.restore({ "--lr": 0.002, data: "abc", "--contrast": 0.3 });
    await expect(other).rejects.toThrow(
      /--lr: 0.001 when it was begun, 0.002 now\n {2}--contrast: nothing when it was begun, 0.3 now/,
    );
  });

  test("refuses a checkpoint that is broken, and says what to do", async () => {
    using run = await open();
    await run.save(checkpoint(1));
    const path = join(directory, "checkpoint");
    const whole = await readFile(path);
    const broken = [
      whole.subarray(0, whole.length - 1),
      Buffer.concat([whole, Buffer.of(0)]),
      whole.with(whole.length - 1, 9),
      Buffer.from('{"version": 99}\n'),
      Buffer.from("no line"),
      Buffer.of(),
    ];
    for (const bytes of broken) {
      await writeFile(path, bytes);
      await expect(run.restore(checkpoint(1).identity)).rejects.toThrow("Begin anew in another directory");
    }
  });

  test("keeps the checkpoint before where the disk does not take another", async () => {
    using run = await open();
    await run.save(checkpoint(1));
    const part = join(directory, "checkpoint.part");
    await mkdir(part);
    await expect(run.save(checkpoint(2))).rejects.toThrow(/Cannot write .*kept/);
    expect(await run.restore(checkpoint(1).identity)).toEqual(checkpoint(1));
    await rm(part, { recursive: true });
    await run.save(checkpoint(2));
    expect((await readdir(directory)).filter((name) => name.startsWith("checkpoint"))).toEqual(["checkpoint"]);
  });

  test("forgets steps of the history that will be done again, and a line that was cut off", async () => {
    using run = await open();
    for (const step of [1, 2, 3]) await run.history.append({ step, nll: 2 });
    const path = join(directory, "history.jsonl");
    await writeFile(path, `${await readFile(path, "utf8")}{"step":4,"nl`);
    await run.save(checkpoint(2));
    await run.restore(checkpoint(2).identity);
    expect(await readFile(path, "utf8")).toBe('{"step":1,"nll":2}\n{"step":2,"nll":2}\n');
  });
});
