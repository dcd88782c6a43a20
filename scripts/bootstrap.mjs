/**
 * Runs a script of this project on the Node it was written for, after making sure that the locked dependencies are installed:
 *
 *     node scripts/bootstrap.mjs scripts/start.ts --port 9000
 *
 * Plain JavaScript without imports from node_modules, because it is what runs when there is none yet, on any Node from 20 on.
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureInstalled } from "./bootstrap/dependencies.mjs";
import { BootstrapError } from "./bootstrap/error.mjs";
import { launch } from "./bootstrap/launch.mjs";
import { findNode } from "./bootstrap/node.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

try {
  const [script, ...args] = process.argv.slice(2);
  if (script === undefined)
    throw new BootstrapError("Give the script to run: node scripts/bootstrap.mjs scripts/start.ts");
  await ensureInstalled(root);
  await launch(findNode(root), [join(root, script), ...args], root);
} catch (error) {
  if (!(error instanceof BootstrapError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
