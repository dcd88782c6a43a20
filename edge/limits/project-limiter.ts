import { DurableObject } from "cloudflare:workers";
import { Outbox } from "../usage/outbox.ts";
import type { UsageRecord } from "../usage/usage-record.ts";
import { type Check, Ledger, type ReserveAnswer, type ReserveRequest } from "./ledger.ts";
import type { Settlement } from "./reservation.ts";
import { SqlStore } from "./sql-store.ts";
import type { Subject } from "./subject.ts";

/**
 * The limits of one project, of its keys and of their end users, in one place. Deciding and booking happen without an `await` in between.
 * What was booked is in SQLite before the caller hears of it, so eviction and crashes forget nothing. Keeps what generations used in the
 * same way, until the database has it.
 */
export class ProjectLimiter extends DurableObject {
  readonly #ledger: Ledger;
  readonly #outbox: Outbox;

  constructor(state: DurableObjectState, env: Cloudflare.Env) {
    super(state, env);
    this.#ledger = new Ledger(new SqlStore(state.storage), Date.now());
    this.#outbox = new Outbox(state.storage, env.DB);
  }

  /** Admits one request, or says which limit refuses it. Takes what an isolate has to tell of its earlier leases first. */
  reserve(request: ReserveRequest, settlements: readonly Settlement[]): ReserveAnswer {
    this.settle(settlements);
    return this.#ledger.reserve(request, Date.now());
  }

  /** Told twice, both count once. */
  settle(settlements: readonly Settlement[], records: readonly UsageRecord[] = []): void {
    for (const settlement of settlements) this.#ledger.settle(settlement, Date.now());
    this.#outbox.add(records, Date.now());
  }

  override async alarm(): Promise<void> {
    await this.#outbox.flush(Date.now);
  }

  /** What would be decided about a request that may use so many tokens. */
  check(subjects: readonly Subject[], tokens: number): Check {
    return this.#ledger.check(subjects, tokens, Date.now());
  }
}
