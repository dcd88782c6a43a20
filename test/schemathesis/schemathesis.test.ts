import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { tinyStack } from "../e2e/tiny-stack.ts";

const stack = tinyStack();
const directory = mkdtempSync(join(tmpdir(), "attune-schemathesis-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/**
 * All that it knows but two: that what fits the schema is accepted, and that what does not is refused. Fields also have rules together that no
 * schema says, and unknown ones are ignored, as OpenAI's clients expect.
 */
const CHECKS = [
  "not_a_server_error",
  "status_code_conformance",
  "content_type_conformance",
  "response_headers_conformance",
  "response_schema_conformance",
  "unsupported_method",
  "ignored_auth",
];

/** Asks the operations under some paths for whatever its generators think of. @returns what it reports where something is wrong */
async function run(paths: string, token: string): Promise<string> {
  const python = process.env.ATTUNE_TEST_SCHEMATHESIS_PYTHON;
  if (python === undefined) throw new Error("Run this suite with `npm run test:schemathesis`, which sets it up.");
  const { url } = stack.edge();
  const args = [
    ...["-m", "schemathesis.cli", "run", `${url}/openapi.json`, "--url", url],
    ...["--include-path-regex", paths, "--header", `Authorization: Bearer ${token}`],
    ...["--checks", CHECKS.join(","), "--max-examples", "20"],
    // The same requests each time: what fails can be looked at again.
    ...["--generation-deterministic", "--phases", "examples,coverage,fuzzing", "--request-timeout", "60", "--no-color"],
  ];
  const child = spawn(python, args, { cwd: directory, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const pipe of [child.stdout, child.stderr]) {
    pipe.setEncoding("utf8").on("data", (piece: string) => {
      output += piece;
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  return code === 0 ? "" : output;
}

it("nothing that is asked of the API gets an answer that its document does not have", async () => {
  expect(await run("^/v1/", stack.key())).toBe("");
});

it("nor of the admin API", async () => {
  expect(await run("^/admin/v1/", stack.edge().adminToken)).toBe("");
});
