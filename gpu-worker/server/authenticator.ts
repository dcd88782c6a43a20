import type { IncomingMessage } from "node:http";
import { AttuneError } from "../../schema/wire/errors.ts";
import {
  ID_HEADER,
  importSigningKey,
  SIGNATURE_HEADER,
  SIGNATURE_WINDOW,
  type SigningKey,
  TIMESTAMP_HEADER,
  verifyRequest,
} from "../../schema/wire/signature.ts";

/** Lets only the edge in: every request is signed with the shared secret, and none is accepted twice. */
export class Authenticator {
  readonly #key: Promise<SigningKey>;
  readonly #now: () => number;
  /** When each accepted id may be forgotten, oldest first. */
  readonly #seen = new Map<string, number>();

  /** @param now Unix seconds. */
  constructor(secret: string, now: () => number = () => Date.now() / 1000) {
    this.#key = importSigningKey(secret);
    this.#now = now;
  }

  /** @throws AttuneError `invalid_signature` */
  async check(request: IncomingMessage, body: string): Promise<void> {
    const header = (name: string) => {
      const value = request.headers[name];
      return typeof value === "string" ? value : null;
    };
    const headers = { id: header(ID_HEADER), timestamp: header(TIMESTAMP_HEADER), signature: header(SIGNATURE_HEADER) };
    const parts = { method: request.method ?? "", path: request.url ?? "", body };
    const id = await verifyRequest([await this.#key], headers, parts, this.#now());
    this.#forget();
    if (this.#seen.has(id)) throw new AttuneError("invalid_signature", "This signed request was used already.");
    this.#seen.set(id, this.#now() + 2 * SIGNATURE_WINDOW);
  }

  #forget(): void {
    const now = this.#now();
    for (const [id, until] of this.#seen) {
      if (until > now) return;
      this.#seen.delete(id);
    }
  }
}
