import { Command, Option } from "commander";
import { type UsageGrouping, usageGroupings } from "../../schema/api/usage.ts";
import { type EdgeOptions, findEdge, listAdmin } from "./admin-api.ts";
import { positiveNumber } from "./parse.ts";
import { printJson } from "./print-json.ts";

type Flags = EdgeOptions & { project: string };

const DAY_MS = 86_400_000;
/** Days that are summed where nothing is said, today among them. */
const DAYS = 30;

/** A day in UTC, so many before today. */
const daysAgo = (days: number) => new Date(Date.now() - days * DAY_MS).toISOString().slice(0, "2026-11-24".length);

const usagePath = ({ project }: Flags) => `/projects/${encodeURIComponent(project)}/usage`;

async function sumUsage(_flags: unknown, command: Command): Promise<void> {
  const flags = command.optsWithGlobals<Flags & { from: string; to: string; by?: UsageGrouping }>();
  const { from, to, by } = flags;
  const query = new URLSearchParams({ from, to, ...(by !== undefined && { group_by: by }) });
  printJson(await listAdmin(findEdge(flags), `${usagePath(flags)}?${query}`));
}

async function listGenerations(_flags: unknown, command: Command): Promise<void> {
  const flags = command.optsWithGlobals<Flags & { limit: number }>();
  printJson(await listAdmin(findEdge(flags), `${usagePath(flags)}/generations`, flags.limit));
}

/** `usage …`: what a project used. */
export function usageCommand(): Command {
  const usage = new Command("usage").description("what a project used");
  const command = (name: string, description: string) =>
    usage
      .command(name)
      .description(description)
      .addOption(new Option("--project <id>", "whose").env("ATTUNE_PROJECT").makeOptionMandatory());

  command("sum", "print generations by how they ended, and tokens")
    .option("--from <day>", "first day, in UTC", daysAgo(DAYS - 1))
    .option("--to <day>", "last day, in UTC", daysAgo(0))
    .addOption(
      new Option("--by <what>", "a sum for each of these; without it, one of all").choices(usageGroupings.options),
    )
    .action(sumUsage);
  command("list", "print the generations themselves, newest first")
    .option("--limit <number>", "how many", positiveNumber, 50)
    .action(listGenerations);
  return usage;
}
