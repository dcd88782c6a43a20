import { Command } from "commander";
import { z } from "zod";
import { callAdmin, type EdgeOptions, findEdge, listAdmin } from "./admin-api.ts";
import { limitsOf, withLimits } from "./limit-options.ts";
import { printJson } from "./print-json.ts";

const versionSchema = z.object({ version: z.int() });

const projectPath = (id: string) => `/projects/${encodeURIComponent(id)}`;

async function updateProject(id: string, _flags: unknown, command: Command): Promise<void> {
  const { name, ...options } = command.optsWithGlobals<EdgeOptions & { name?: string }>();
  const edge = findEdge(options);
  const { version } = versionSchema.parse(await callAdmin(edge, "GET", projectPath(id)));
  const body = { version, name, ...limitsOf(command, "own") };
  printJson(await callAdmin(edge, "PATCH", projectPath(id), body));
}

/** `projects …`: makes, shows and changes projects. */
export function projectsCommand(): Command {
  const projects = new Command("projects").description("what keys, presets and limits belong to");
  withLimits(projects.command("create <name>").description("make one"), "own").action(
    async (name: string, _flags, self: Command) => {
      const body = { name, ...limitsOf(self, "own") };
      printJson(await callAdmin(findEdge(self.optsWithGlobals<EdgeOptions>()), "POST", "/projects", body));
    },
  );
  projects
    .command("list")
    .description("print all")
    .action(async (_flags, self: Command) =>
      printJson(await listAdmin(findEdge(self.optsWithGlobals<EdgeOptions>()), "/projects")),
    );
  projects
    .command("show <project>")
    .description("print one, with its limits")
    .action(async (id: string, _flags, self: Command) =>
      printJson(await callAdmin(findEdge(self.optsWithGlobals<EdgeOptions>()), "GET", projectPath(id))),
    );
  withLimits(projects.command("update <project>").description("change what is given, and leave the rest"), "own")
    .option("--name <text>", "what people call it")
    .action(updateProject);
  return projects;
}
