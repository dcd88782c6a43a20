import { LEASE_MS } from "./lease.ts";
import type { Settlement } from "./reservation.ts";
import type { Meter } from "./subject.ts";
import type { Amount } from "./window.ts";

/** How long an isolate keeps what it has to tell of a lease; the object has given it up by then. */
const TOLD_WITHIN_MS = 900_000;
/** Requests that run at the same time may read the clock a little out of order; what goes further back is a clock that was set back. */
const DISORDER_MS = 1_000;

/** A block of permits that an isolate may use without asking. */
type Lease = {
  id: string;
  projectId: string;
  /** The isolate's time when it asked, which is before it was granted. */
  askedAt: number;
  /** What has not been taken. */
  left: Amount;
  /** Taken, as reserved or, once settled, as used. */
  taken: Amount;
  /** Generations that were not settled yet. */
  running: number;
  /** Nothing more may be taken. */
  over: boolean;
  /** How the limits stood when it was granted. */
  meters: readonly Meter[];
};

/** One request's part of a lease. */
export type Permit = { lease: Lease; tokens: number };

/** What was taken, and how the limits stand after it. */
type Taken = { permit: Permit; meters: Meter[] };

/** How the limits stand, as far as this isolate knows: what is left of its own lease is left. */
function metersOf({ lease }: Permit, now: number): Meter[] {
  const left = { requests_per_minute: lease.left.requests, tokens_per_minute: lease.left.tokens };
  return lease.meters.map((meter) => {
    if (meter.name !== "requests_per_minute" && meter.name !== "tokens_per_minute") return meter;
    const unused = Math.max(0, left[meter.name]);
    return {
      ...meter,
      used: meter.used - unused,
      remaining: meter.remaining === null ? null : meter.remaining + unused,
      resetMs: meter.resetMs === null ? null : Math.max(0, meter.resetMs - (now - lease.askedAt)),
    };
  });
}

function take(lease: Lease, tokens: number): Permit | null {
  if (lease.left.requests < 1 || lease.left.tokens < tokens) return null;
  lease.left = { requests: lease.left.requests - 1, tokens: lease.left.tokens - tokens };
  lease.taken = { requests: lease.taken.requests + 1, tokens: lease.taken.tokens + tokens };
  if (tokens > 0) lease.running += 1;
  return { lease, tokens };
}

/** The leases of one isolate. All times are the isolate's own, in Unix milliseconds. */
export class LeasePool {
  /** By who may use them: those that ask for the same, under the same limits. */
  readonly #leases = new Map<string, Lease[]>();
  /** Over, and the object does not know what was used of them. */
  readonly #untold = new Set<Lease>();
  #latest = 0;

  /** Takes one request's permits out of a lease that has them; `null` where there is none. */
  take(holder: string, tokens: number, now: number): Taken | null {
    this.#endOutdated(now);
    for (const lease of this.#leases.get(holder) ?? []) {
      const permit = take(lease, tokens);
      if (permit !== null) return { permit, meters: metersOf(permit, now) };
    }
    return null;
  }

  /** Keeps a new lease, and takes the permits of the request that it was granted with. */
  open(
    holder: string,
    grant: Pick<Lease, "id" | "projectId" | "askedAt" | "meters"> & { block: Amount },
    tokens: number,
  ): Taken {
    const { block, ...names } = grant;
    const lease: Lease = { ...names, left: block, taken: { requests: 0, tokens: 0 }, running: 0, over: false };
    this.#leases.set(holder, [...(this.#leases.get(holder) ?? []), lease]);
    const permit = take(lease, tokens);
    if (permit === null) throw new Error("a lease holds the request that it was granted with");
    return { permit, meters: metersOf(permit, lease.askedAt) };
  }

  /**
   * Replaces what a generation reserved by what it used; `null`: not known. What it did not use can be taken again.
   *
   * @returns what the object has to be told now, if anything
   */
  settle({ lease, tokens }: Permit, used: number | null, now: number): Settlement | null {
    this.#endOutdated(now);
    const more = (used ?? tokens) - tokens;
    lease.taken = { ...lease.taken, tokens: lease.taken.tokens + more };
    lease.left = { ...lease.left, tokens: lease.left.tokens - more };
    lease.running -= 1;
    if (!lease.over || lease.running > 0) return null;
    this.#untold.delete(lease);
    return settlementOf(lease);
  }

  /** What the project's object has to be told of leases that are over. */
  collect(projectId: string, now: number): Settlement[] {
    this.#endOutdated(now);
    const settlements: Settlement[] = [];
    for (const lease of this.#untold) {
      if (lease.projectId === projectId) settlements.push(settlementOf(lease));
      const isTold = lease.projectId === projectId && lease.running === 0;
      if (isTold || now - lease.askedAt > TOLD_WITHIN_MS) this.#untold.delete(lease);
    }
    return settlements;
  }

  /** A clock that was set back says nothing about how old a lease is: all are over. */
  #endOutdated(now: number): void {
    const wasSetBack = now < this.#latest - DISORDER_MS;
    this.#latest = wasSetBack ? now : Math.max(now, this.#latest);
    for (const [holder, leases] of this.#leases) {
      const current: Lease[] = [];
      for (const lease of leases) {
        if (!wasSetBack && this.#latest - lease.askedAt < LEASE_MS) current.push(lease);
        else {
          lease.over = true;
          this.#untold.add(lease);
        }
      }
      if (current.length === 0) this.#leases.delete(holder);
      else if (current.length < leases.length) this.#leases.set(holder, current);
    }
  }
}

const settlementOf = ({ id, taken, running }: Lease): Settlement => ({
  id,
  requests: taken.requests,
  tokens: taken.tokens,
  ended: running === 0,
});
