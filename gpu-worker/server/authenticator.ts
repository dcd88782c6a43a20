import type { IncomingMessage } from "node:http";
import { AttuneError } from "../../schema/wire/errors.ts";
import {
  ID_HEADER,
  importSigningKey,
  SIGNATURE_HEADER,
  type SigningKey,
  TIMESTAMP_HEADER,
  verifyRequest,
} from "../../schema/wire/signature.ts";
import { ReplayGuard } from "./replay-guard.ts";

/** Lets only the edge in: every request is signed with one of the shared secrets, and none is accepted twice. */
export class Authenticator {
  readonly #keys: Promise<SigningKey[]>;
  readonly #now: () => number;
  readonly #replays = new ReplayGuard();

  /**
   * @param secrets those accepted: one, or two while edge and workers move from one to the other
   * @param now Unix seconds.
   */
  constructor(secrets: readonly string[], now: () => number = () => Date.now() / 1000) {
    this.#keys = Promise.all(secrets.map(importSigningKey));
    this.#now = now;
  }

  /** @throws AttuneError `invalid_signature` */
  async check(request: Pick<IncomingMessage, "headers" | "method" | "url">, body: string): Promise<void> {
    const header = (name: string) => {
      const value = request.headers[name];
      return typeof value === "string" ? value : null;
    };
    const headers = { id: header(ID_HEADER), timestamp: header(TIMESTAMP_HEADER), signature: header(SIGNATURE_HEADER) };
    const parts = { method: request.method ?? "", path: request.url ?? "", body };
    const { id, timestamp } = await verifyRequest(await this.#keys, headers, parts, this.#now());
    if (this.#replays.accept(id, timestamp, this.#now())) return;
    throw new AttuneError("invalid_signature", "This signed request was used already, or comes too late.");
  }
}
