import { globSync } from "node:fs";
import { dirname } from "node:path";
import { type Check, runChecks, tool } from "./check/check.ts";
import { checkLockfile } from "./check/lockfile.ts";
import { checkMigrations } from "./check/migrations.ts";
import { checkOpenApi } from "./check/openapi.ts";
import { repository } from "./stack/paths.ts";

/** Every room has its own tsconfig, so that each sees the types of the runtime it runs in and no other's. */
const rooms = globSync("{*,test/*}/tsconfig*.json", { cwd: repository }).sort();

const checks: Check[] = [
  { name: "format, lint and import arrows", run: () => tool("biome", ["check", "--error-on-warnings", "."]) },
  ...rooms.map((config) => ({
    name: `types of ${config.endsWith("/tsconfig.json") ? dirname(config) : config}`,
    run: () => tool("tsc", ["-p", config]),
  })),
  { name: "unused files, exports and dependencies", run: () => tool("knip", []) },
  { name: "migrations match the tables", run: checkMigrations },
  { name: "OpenAPI document and client types match the schemas", run: checkOpenApi },
  { name: "lockfile is complete", run: checkLockfile },
];

process.exit((await runChecks(checks)) ? 0 : 1);
