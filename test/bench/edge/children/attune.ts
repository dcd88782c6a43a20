/** Our edge: the Worker that wrangler builds, in workerd with D1 and Durable Objects on disk, without Miniflare's entry before it. */

import { mkdirSync, rmSync } from "node:fs";
import { aborted, interruption } from "../../../../scripts/interruption.ts";
import { endWithParent } from "../../../../scripts/leash.ts";
import { buildEdge } from "../../../../scripts/stack/bundle.ts";
import { startEdge } from "../../../../scripts/stack/edge-server.ts";
import { statePaths } from "../../../../scripts/stack/paths.ts";
import { loadSecrets } from "../../../../scripts/stack/secrets.ts";

const [directory = "", workerUrl = "", workerSecret = ""] = process.argv.slice(2);

endWithParent();
const ending = interruption();
process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
const paths = statePaths(directory);
mkdirSync(paths.directory, { recursive: true });
const secrets = loadSecrets(paths.secrets);
await buildEdge(paths.bundle);
const bindings = {
  WORKER_URL: workerUrl,
  WORKER_SECRET: workerSecret,
  KEY_PEPPER: secrets.keyPepper,
  ADMIN_TOKEN: secrets.adminToken,
};
const edge = await startEdge({ paths, port: 0, bindings, onRestart: () => process.exit(1), direct: true });
/** The ledger, asked for by any message. */
process.on("message", async () => {
  const query = "SELECT id, prompt_tokens + completion_tokens AS tokens FROM generations";
  const { results } = await edge.database.prepare(query).all();
  process.send?.({ ledger: results });
});
process.send?.({ url: edge.url, adminToken: secrets.adminToken });
await aborted(ending);
// Left to itself the Workers runtime would go on.
await edge.stop();
process.exit(0);
