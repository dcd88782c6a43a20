import { type Command, Option } from "commander";
import { LIMIT_NAMES, type LimitName, type Limits } from "../../schema/api/limits.ts";
import { type Given, given, limit } from "./parse.ts";

const FLAGS: Record<LimitName, { flag: string; what: string }> = {
  requests_per_minute: { flag: "requests-per-minute", what: "requests in any 60 seconds" },
  tokens_per_minute: { flag: "tokens-per-minute", what: "tokens of prompts and answers in any 60 seconds" },
  concurrent_generations: { flag: "concurrent", what: "generations that run at the same time" },
  tokens_per_month: { flag: "tokens-per-month", what: "tokens in the calendar month, UTC" },
};

/** Whose limits an option sets: those of the key or project itself, or those of each end user of a key. */
type Owner = "own" | "end-user";

const optionOf = (name: LimitName, owner: Owner) => {
  const { flag, what } = FLAGS[name];
  const [prefix, whose] = owner === "own" ? ["", ""] : ["end-user-", " of each end user"];
  return new Option(`--${prefix}${flag} <number>`, `${what}${whose}, or none`).argParser(given(limit));
};

/** Adds an option for each of the four limits. */
export function withLimits(command: Command, owner: Owner): Command {
  return LIMIT_NAMES.reduce((extended, name) => extended.addOption(optionOf(name, owner)), command);
}

/** The limits that the options name, as the API spells them; one that was not given is left out. */
export function limitsOf(command: Command, owner: Owner): Partial<Limits> {
  const flags = command.opts<Record<string, Given<number | null> | undefined>>();
  const named = LIMIT_NAMES.flatMap((name) => {
    const option = flags[optionOf(name, owner).attributeName()];
    return option === undefined ? [] : [[name, option.value] as const];
  });
  return Object.fromEntries(named);
}
