import { Command, Option } from "commander";
import { z } from "zod";
import { SCOPES } from "../../schema/api/keys.ts";
import type { Moderation } from "../../schema/api/moderation.ts";
import type { Bounds } from "../../schema/attributes.ts";
import { callAdmin, type EdgeOptions, findEdge, listAdmin } from "./admin-api.ts";
import { limitsOf, withLimits } from "./limit-options.ts";
import { bounds, duration, expiry, type Given, given, moderation, names, namesOrAll } from "./parse.ts";
import { printJson } from "./print-json.ts";

type SettingFlags = {
  scopes?: string[];
  bounds?: Bounds;
  models?: Given<string[] | null>;
  presets?: Given<string[] | null>;
  moderation?: Given<Moderation | null>;
  origins?: string[];
  expires?: Given<number | null>;
};

const currentSchema = z.object({ version: z.int(), end_user_limits: z.record(z.string(), z.unknown()) });

type Flags = SettingFlags & EdgeOptions & { project: string };

/** The fields of the API that the options name; an option that was not given is not sent. */
const settingsOf = (flags: SettingFlags, command: Command) => ({
  scopes: flags.scopes,
  bounds: flags.bounds,
  models: flags.models?.value,
  presets: flags.presets?.value,
  moderation: flags.moderation?.value,
  origins: flags.origins,
  ...limitsOf(command, "own"),
  expires_at: flags.expires?.value,
});

/** Options that a key is made with, and changed by. */
function withSettings(command: Command): Command {
  command
    .option("--scopes <list>", `what it may be used for, of ${SCOPES.join(", ")}`, names)
    .option(
      "--bounds <list>",
      "what it may ask for, as humor=0..2,verbosity=3 (locked); toxicity is locked at 0 unless given, toxicity=any frees it",
      bounds,
    )
    .option("--models <list>", "models it is limited to, or all", given(namesOrAll))
    .option("--presets <list>", "presets it is limited to, or all", given(namesOrAll))
    .option(
      "--moderation <how>",
      "what becomes of answers that are more toxic than a level: block=1 withholds them, annotate=1 has them say so; or none",
      given(moderation),
    )
    .option("--origins <list>", "of a publishable key: pages that may open sessions, as https://example.com", names)
    .option(
      "--expires <when>",
      "90d, 2027-01-31 or never",
      given((text) => expiry(text, Date.now())),
    );
  return withLimits(withLimits(command, "own"), "end-user");
}

const projectOption = () =>
  new Option("--project <id>", "the project it belongs to").env("ATTUNE_PROJECT").makeOptionMandatory();

const keysPath = ({ project }: Flags) => `/projects/${encodeURIComponent(project)}/keys`;
const keyPath = (flags: Flags, id: string) => `${keysPath(flags)}/${encodeURIComponent(id)}`;

function printSecret(answer: unknown): void {
  console.error("The secret is shown this once: the server keeps only a hash of it.");
  printJson(answer);
}

async function createKey(_flags: unknown, command: Command): Promise<void> {
  const flags = command.optsWithGlobals<Flags & { name: string; publishable?: true; test?: true }>();
  const { name, publishable, test } = flags;
  const body = {
    name,
    kind: publishable ? "publishable" : "secret",
    mode: test ? "test" : "live",
    ...settingsOf(flags, command),
    end_user_limits: limitsOf(command, "end-user"),
  };
  printSecret(await callAdmin(findEdge(flags), "POST", keysPath(flags), body));
}

async function updateKey(id: string, _flags: unknown, command: Command): Promise<void> {
  const flags = command.optsWithGlobals<Flags & { name?: string }>();
  const edge = findEdge(flags);
  const { version, end_user_limits } = currentSchema.parse(await callAdmin(edge, "GET", keyPath(flags, id)));
  // The API replaces these as a whole.
  const ofEndUsers = { ...end_user_limits, ...limitsOf(command, "end-user") };
  const body = { version, name: flags.name, ...settingsOf(flags, command), end_user_limits: ofEndUsers };
  printJson(await callAdmin(edge, "PATCH", keyPath(flags, id), body));
}

async function rotateKey(id: string, _flags: unknown, command: Command): Promise<void> {
  const flags = command.optsWithGlobals<Flags & { overlap: number }>();
  const body = { overlap_seconds: flags.overlap };
  printSecret(await callAdmin(findEdge(flags), "POST", `${keyPath(flags, id)}/rotate`, body));
}

/** `keys …`: makes, shows, changes, rotates and revokes keys. */
export function keysCommand(): Command {
  const keys = new Command("keys").description("keys of a project");
  const command = (name: string, description: string) =>
    keys.command(name).description(description).addOption(projectOption());

  withSettings(command("create", "make a key, and print it with its secret"))
    .requiredOption("--name <text>", "what people call it")
    .option("--publishable", "for web pages: it only opens sessions, for the origins given")
    .option("--test", "mark it as one of tests, with sk_test_ or pk_test_")
    .action(createKey);
  command("list", "print all keys, revoked ones too").action(async (_flags, self: Command) => {
    const flags = self.optsWithGlobals<Flags>();
    printJson(await listAdmin(findEdge(flags), keysPath(flags)));
  });
  command("show <key>", "print one").action(async (id: string, _flags, self: Command) => {
    const flags = self.optsWithGlobals<Flags>();
    printJson(await callAdmin(findEdge(flags), "GET", keyPath(flags, id)));
  });
  withSettings(command("update <key>", "change what is given, and leave the rest; a list replaces the one before"))
    .option("--name <text>", "what people call it")
    .action(updateKey);
  command("rotate <key>", "give it a new secret, and print that")
    .addOption(
      new Option("--overlap <time>", "how long the present secret goes on working, 0s to 30d")
        .argParser(duration)
        .default(86_400, "24h"),
    )
    .action(rotateKey);
  command("revoke <key>", "end all its secrets, for good").action(async (id: string, _flags, self: Command) => {
    const flags = self.optsWithGlobals<Flags>();
    printJson(await callAdmin(findEdge(flags), "POST", `${keyPath(flags, id)}/revoke`));
  });
  return keys;
}
