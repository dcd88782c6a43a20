import { Command, Option } from "commander";
import { type EdgeOptions, findEdge, listAdmin, TOKEN_VARIABLE, URL_VARIABLE } from "./attune/admin-api.ts";
import { keysCommand } from "./attune/keys-command.ts";
import { positiveNumber } from "./attune/parse.ts";
import { printJson } from "./attune/print-json.ts";
import { projectsCommand } from "./attune/projects-command.ts";
import { usageCommand } from "./attune/usage-command.ts";
import { fromUser } from "./start/options.ts";

const program = new Command("npm run attune --")
  .description(
    `Administers projects and keys of an Attune server. Without --url, of the one that npm start runs from this folder. ${TOKEN_VARIABLE} ` +
      "holds the server's ADMIN_TOKEN, or a key with the scope admin.",
  )
  .addOption(new Option("--url <origin>", "the server").env(URL_VARIABLE))
  .option("--state-directory <path>", "where the server that npm start runs keeps its state", fromUser)
  .showHelpAfterError("(npm run attune -- --help shows the options)");

program.addCommand(projectsCommand());
program.addCommand(keysCommand());
program.addCommand(usageCommand());

program
  .command("audit")
  .description("print who changed what, newest first")
  .option("--project <id>", "of this project only")
  .option("--limit <number>", "how many changes", positiveNumber, 50)
  .action(async (_flags, self: Command) => {
    const { project, limit, ...edge } = self.optsWithGlobals<EdgeOptions & { project?: string; limit: number }>();
    const path = project === undefined ? "/audit" : `/audit?project=${encodeURIComponent(project)}`;
    printJson(await listAdmin(findEdge(edge), path, limit));
  });

program.parseAsync().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
