import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { statePaths } from "../../../scripts/stack/paths.ts";
import { lockState } from "../../../scripts/stack/state-lock.ts";

describe("the lock of a state directory", () => {
  const directory = mkdtempSync(join(tmpdir(), "attune-lock-"));
  const paths = statePaths(directory);
  afterAll(() => rmSync(directory, { recursive: true }));

  it("tells a second stack where the first one is and how to stop it", () => {
    const first = lockState(paths);
    first.publish("http://127.0.0.1:8787");
    expect(() => lockState(paths)).toThrow(
      `Attune already runs from this folder at http://127.0.0.1:8787 (process ${process.pid})`,
    );
    first.release();
  });
  it("is free again once released", () => {
    lockState(paths).release();
    lockState(paths).release();
  });
});
