import { resolve } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { stackCommand } from "../../../scripts/start/options.ts";

const repository = resolve(import.meta.dirname, "../../..");

/** What the options come to when `npm start` is run from a folder. */
function parsed(folder: string, ...args: string[]) {
  vi.stubEnv("INIT_CWD", folder);
  let errors = "";
  const command = stackCommand("npm start --", "Starts.").exitOverride();
  command.configureOutput({
    writeErr: (text) => {
      errors += text;
    },
  });
  try {
    return { options: command.parse(args, { from: "user" }).opts(), errors };
  } catch {
    return { options: {}, errors };
  }
}

afterEach(() => vi.unstubAllEnvs());

describe.each(["--model", "--adapter"])("%s", (option) => {
  const key = option.slice(2);

  it("takes a path as seen from where the user stands", () => {
    const { options } = parsed(repository, option, "test/fixtures");
    expect(options).toMatchObject({ [key]: resolve(repository, "test/fixtures") });
  });

  it("takes an id on the hub as it is", () => {
    expect(parsed(repository, option, "hf:owner/name@v1").options).toMatchObject({ [key]: "hf:owner/name@v1" });
  });

  it("says what is missing, and what to write for a repository on the hub", () => {
    const { errors } = parsed(repository, option, "owner/name");
    expect(errors).toContain(`There is nothing at ${resolve(repository, "owner/name")}.`);
    expect(errors).toContain("write hf:owner/name.");
  });

  it("takes a path that looks like a repository, where it is there", () => {
    const { options } = parsed(resolve(repository, "test"), option, "fixtures/models");
    expect(options).toMatchObject({ [key]: resolve(repository, "test/fixtures/models") });
  });
});
