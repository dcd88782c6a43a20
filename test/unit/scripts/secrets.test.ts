import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { hasValidChecksum } from "../../../edge/auth/key.ts";
import { loadSecrets } from "../../../scripts/stack/secrets.ts";

describe("the secrets of a state directory", () => {
  const directory = mkdtempSync(join(tmpdir(), "attune-secrets-"));
  const file = join(directory, "secrets.json");
  afterAll(() => rmSync(directory, { recursive: true }));

  it("are made once, with a key that the edge accepts", () => {
    const first = loadSecrets(file);
    expect(hasValidChecksum(first.demoKey)).toBe(true);
    expect(loadSecrets(file)).toEqual(first);
  });
  it("of an earlier version are kept, with the admin token that it had not", () => {
    const { adminToken, ...earlier } = loadSecrets(file);
    writeFileSync(file, JSON.stringify(earlier));
    const added = loadSecrets(file);
    expect(added).toEqual({ ...earlier, adminToken: expect.stringMatching(/^[\w-]{43}$/) });
    expect(added.adminToken).not.toBe(adminToken);
    expect(loadSecrets(file)).toEqual(added);
  });
  it.skipIf(process.platform === "win32")("are for the user's eyes only", () => {
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });
  it("are not replaced behind the user's back when damaged", () => {
    writeFileSync(file, JSON.stringify({ demoKey: "" }));
    expect(() => loadSecrets(file)).toThrow(/is damaged. Delete it/);
  });
});
