import { writeFileSync } from "node:fs";
import { relative } from "node:path";
import { runNpm } from "./generate/npm.ts";
import { CLIENT_TYPES, DOCUMENT, renderDocument, typesHeader } from "./generate/openapi.ts";
import { ensureScalar } from "./generate/scalar.ts";
import { repository } from "./stack/paths.ts";
import { StackError } from "./stack/stack-error.ts";

/**
 * Not dependencies of this project: openapi-typescript works with the compiler's API, which TypeScript 7 no longer has, and only who changes
 * the API needs it.
 */
const GENERATOR = "openapi-typescript@7.13.0";
const COMPILER = "typescript@5.9.3";

try {
  await ensureScalar();
  const document = renderDocument();
  writeFileSync(DOCUMENT, document);
  // What has a default may be left out.
  const generator = ["openapi-typescript", DOCUMENT, "--default-non-nullable=false"];
  const packages = [`--package=${GENERATOR}`, `--package=${COMPILER}`];
  const types = await runNpm(["exec", "--yes", ...packages, "--", ...generator], "npm run generate");
  writeFileSync(CLIENT_TYPES, typesHeader(document) + types);
  for (const file of [DOCUMENT, CLIENT_TYPES]) console.log(`Wrote ${relative(repository, file)}`);
} catch (error) {
  console.error(error instanceof StackError ? error.message : error);
  process.exitCode = 1;
}
