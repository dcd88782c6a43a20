import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import { evaluateCommand } from "../../../../gpu-worker/steerlm/evaluate/command.ts";

const NEEDED = ["--adapter", "adapter", "--prompts", "questions.jsonl", "--out", "run"];

/** The command, which says what is wrong to `said` and never runs. */
function evaluate(said: string[], ran: (flags: object) => void): Command {
  const command = evaluateCommand();
  for (const one of [command, ...command.commands]) {
    one.exitOverride().configureOutput({ writeErr: (text) => said.push(text) });
    if (one.name() === "run") one.action(ran);
  }
  return command;
}

const parse = async (...args: string[]) => {
  const said: string[] = [];
  let flags = {};
  await evaluate(said, (read) => {
    flags = read;
  })
    .parseAsync([...NEEDED, ...args], { from: "user" })
    .catch(() => {});
  return { flags, said: said.join("") };
};

describe("attune evaluate", () => {
  test("takes several levels beside each of several attributes, and several combinations", async () => {
    const { flags } = await parse(
      ...["--hold", "complexity:verbosity=2,quality=4", "verbosity:quality=4"],
      ...["--combine", "verbosity=0,complexity=4", "humor=4", "--strengths", "2,1,2"],
    );
    expect(flags).toMatchObject({
      hold: { complexity: { verbosity: 2, quality: 4 }, verbosity: { quality: 4 } },
      combine: [{ verbosity: 0, complexity: 4 }, { humor: 4 }],
      strengths: [1, 2],
    });
  });

  test.each([
    ["--attributes", "verbosity,speed"],
    ["--hold", "complexity:complexity=2"],
    ["--hold", "complexity"],
    ["--hold", "complexity:verbosity=7"],
    ["--combine", "verbosity"],
    ["--strengths", "0.5"],
    ["--strengths", "1,,2"],
    ["--part", "holdout"],
    ["--temperature", "3"],
    ["--min-p", "2"],
    ["--limit", "0"],
    ["--against", "everything"],
  ])("says what is wrong with %s %s", async (flag, value) => {
    const { said, flags } = await parse(flag, value);
    expect(said).toContain(flag);
    expect(flags).toEqual({});
  });
});
