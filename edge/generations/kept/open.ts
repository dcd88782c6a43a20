import type { Principal } from "../../auth/principal.ts";
import { OBJECT_LENGTH } from "../idempotency.ts";
import type { KeptGeneration } from "./kept-generation.ts";
import type { Asker } from "./kept-record.ts";

const PREFIX = "gen_";
const GENERATION_ID = new RegExp(`^${PREFIX}[0-9A-Za-z]{${OBJECT_LENGTH},64}$`);

export const isGenerationId = (id: string) => GENERATION_ID.test(id);

/** The object that has a generation of this project, if anything is kept of it. */
export function openKept(
  env: Pick<Cloudflare.Env, "KEPT_GENERATION">,
  projectId: string,
  id: string,
): DurableObjectStub<KeptGeneration> {
  return env.KEPT_GENERATION.getByName(`${projectId}/${id.slice(PREFIX.length, PREFIX.length + OBJECT_LENGTH)}`);
}

export function askerOf({ projectId, keyId, session }: Principal): Asker {
  return { projectId, keyId, session: session === null ? null : { endUser: session.endUser } };
}
