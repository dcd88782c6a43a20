import { z } from "zod";
import { AttuneError, invalidRequest } from "../../schema/wire/errors.ts";
import type { Adapters } from "./adapters.ts";
import type { AdapterState } from "./resident-adapter.ts";

/** Where adapters are added and listed; one is removed at its name below it. */
export const ADAPTERS_PATH = "/v1/adapters";
export const adapterPath = (name: string): string => `${ADAPTERS_PATH}/${encodeURIComponent(name)}`;

const addSchema = z.strictObject({ name: z.string(), path: z.string().min(1), profile: z.string().optional() });

type AdapterList = { data: AdapterState[]; memory: { bytes: number; cap_bytes: number } };

/**
 * Answers a request about adapters; `null` where it is about something else.
 *
 * @param adapters `null` where this worker serves none but what is merged
 * @throws AttuneError
 */
export async function answerAdmin(
  adapters: Adapters | null,
  method: string | undefined,
  path: string,
  body: () => unknown,
): Promise<AdapterState | AdapterList | null> {
  if (path !== ADAPTERS_PATH && !path.startsWith(`${ADAPTERS_PATH}/`)) return null;
  if (adapters === null) {
    throw new AttuneError("not_found", "This worker takes no adapters: start it with --adapter-memory.");
  }
  const name = nameIn(path);
  if (method === "DELETE" && name !== "") return adapters.remove(name);
  if (name !== "") return null;
  if (method === "POST") {
    const parsed = addSchema.safeParse(body());
    if (!parsed.success) throw invalidRequest(parsed.error);
    return adapters.add(parsed.data);
  }
  if (method !== "GET") return null;
  const data = adapters.list();
  const bytes = data.reduce((total, adapter) => total + adapter.bytes, 0);
  return { data, memory: { bytes, cap_bytes: adapters.capBytes } };
}

/** The adapter that a path is about, "" where it is about all. */
function nameIn(path: string): string {
  const name = path.slice(ADAPTERS_PATH.length + 1);
  try {
    return decodeURIComponent(name);
  } catch {
    throw new AttuneError("invalid_request", `${name} is not a name in a URL: escape a percent sign as %25.`);
  }
}
