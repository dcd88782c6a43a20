import { join, relative } from "node:path";
import { buildClientPackage } from "./client/package.ts";
import { repository } from "./stack/paths.ts";
import { StackError } from "./stack/stack-error.ts";

const directory = join(repository, "dist", "attune");
try {
  await buildClientPackage(directory);
  console.log(
    `${relative(repository, directory)} holds the package. Pack it: npm pack ./${relative(repository, directory)}`,
  );
} catch (error) {
  console.error(error instanceof StackError ? error.message : error);
  process.exitCode = 1;
}
