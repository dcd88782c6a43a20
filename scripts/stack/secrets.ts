import { randomBytes } from "node:crypto";
import { z } from "zod";
import { createKey } from "../../edge/auth/key.ts";
import { readJson, writeJson } from "./atomic-file.ts";
import { StackError } from "./stack-error.ts";

const secretsSchema = z.object({
  /** Signs requests from the edge to the inference worker. */
  workerSecret: z.string().min(32),
  /** Keys are stored as HMAC-SHA-256(pepper, key). */
  keyPepper: z.string().min(32),
  demoKey: z.string().min(1),
  /** Opens the admin API. */
  adminToken: z.string().min(32),
});
export type Secrets = z.infer<typeof secretsSchema>;

const randomSecret = () => randomBytes(32).toString("base64url");

/** The secrets of this state directory, made on first use, so that later starts print the same key. */
export function loadSecrets(file: string): Secrets {
  const stored = readJson(file);
  if (stored !== null) {
    // Earlier versions had no admin token.
    const parsed = secretsSchema.partial({ adminToken: true }).safeParse(stored);
    if (parsed.success) {
      const { adminToken = randomSecret(), ...others } = parsed.data;
      const secrets = { ...others, adminToken };
      if (parsed.data.adminToken === undefined) writeJson(file, secrets, 0o600);
      return secrets;
    }
    throw new StackError(`${file} is damaged. Delete it; the next start makes new secrets and a new key.`);
  }
  const secrets = {
    workerSecret: randomSecret(),
    keyPepper: randomSecret(),
    demoKey: createKey("sk_test"),
    adminToken: randomSecret(),
  };
  writeJson(file, secrets, 0o600);
  return secrets;
}
