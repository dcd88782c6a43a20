import { LeasePool, type Permit } from "../../../../edge/limits/lease-pool.ts";
import { Ledger, type ReserveAnswer } from "../../../../edge/limits/ledger.ts";
import type { Settlement } from "../../../../edge/limits/reservation.ts";
import type { Subject } from "../../../../edge/limits/subject.ts";
import { MemoryStore } from "./memory-store.ts";

const START = Date.UTC(2026, 10, 17);
const PROJECT = "proj_a";

/** One request that was let through, by an isolate's lease or by the object. `tokens`: reserved, or used where it ended. */
export type Admitted = { subjects: readonly Subject[]; at: number; tokens: number; leased: boolean };

type Running = { isolate: number; admitted: Admitted; reservation: { id: string } | Permit; reserved: number };
/** A request on its way from an isolate to the object, or an answer on its way back. */
type InFlight = {
  isolate: number;
  askedAt: number;
  id: string;
  subjects: readonly Subject[];
  tokens: number;
  settlements: Settlement[];
  decided: { answer: ReserveAnswer; admitted: Admitted | null } | null;
};

/**
 * Isolates and the object of one project, with the messages between them in a test's hands: each may be late or lost, each isolate and the
 * object may be killed at any time, and every clock is its own. Times of admissions are true ones.
 */
export class Cluster {
  readonly admitted: Admitted[] = [];
  readonly #store = new MemoryStore();
  readonly #pools: LeasePool[];
  readonly #offsets: readonly number[];
  #ledger = new Ledger(this.#store, START);
  #running: Running[] = [];
  #inFlight: InFlight[] = [];
  #now = START;
  #ids = 0;

  /** @param offsets how far each isolate's clock is off, in milliseconds */
  constructor(offsets: readonly number[]) {
    this.#offsets = offsets;
    this.#pools = offsets.map(() => new LeasePool());
  }

  advance(milliseconds: number): void {
    this.#now += milliseconds;
  }

  /** Decisions that the object was asked for. */
  get asked(): number {
    return this.#ids;
  }

  /** Generations that run, as far as their isolates know. */
  get running(): number {
    return this.#running.length;
  }

  /**
   * An isolate gets a request: it admits it by its lease or asks the object.
   *
   * @param wobble how far its clock is off at this moment, beyond its offset
   */
  request(at: number, subjects: readonly Subject[], tokens: number, wobble: number): void {
    const { isolate, pool, now } = this.#isolate(at, wobble);
    const holder = JSON.stringify([PROJECT, subjects, tokens > 0]);
    const leased = pool.take(holder, tokens, now);
    if (leased !== null) {
      const admitted = this.#admit({ subjects, tokens, leased: true });
      if (tokens > 0) this.#running.push({ isolate, admitted, reservation: leased.permit, reserved: tokens });
      return;
    }
    this.#ids += 1;
    const settlements = pool.collect(PROJECT, now);
    const id = `request ${this.#ids}`;
    this.#inFlight.push({ isolate, askedAt: now, id, subjects, tokens, settlements, decided: null });
  }

  /** The object decides about a request that is on its way; -1 is the last that was sent. */
  decide(nth: number): void {
    const waiting = this.#inFlight.filter(({ decided }) => decided === null);
    const message = waiting.at(nth % waiting.length);
    if (message === undefined) return;
    const { id, subjects, tokens, settlements } = message;
    for (const settlement of settlements) this.#ledger.settle(settlement, this.#now);
    const answer = this.#ledger.reserve({ id, subjects, tokens }, this.#now);
    const admitted = answer.allowed ? this.#admit({ subjects, tokens, leased: false }) : null;
    message.decided = { answer, admitted };
  }

  /** The isolate gets an answer that is on its way, unless it is lost. */
  answer(nth: number, lost: boolean): void {
    const arriving = this.#inFlight.filter(({ decided }) => decided !== null);
    const message = arriving.at(nth % arriving.length);
    if (message?.decided == null) return;
    this.#inFlight = this.#inFlight.filter((other) => other !== message);
    const { isolate, askedAt, id, subjects, tokens } = message;
    const { answer, admitted } = message.decided;
    const pool = this.#pools[isolate];
    if (lost || admitted === null || pool === undefined || !answer.allowed) return;
    const holder = JSON.stringify([PROJECT, subjects, tokens > 0]);
    const { lease: block, meters } = answer;
    const reservation =
      block === null ? { id } : pool.open(holder, { id, projectId: PROJECT, askedAt, meters, block }, tokens).permit;
    if (tokens > 0) this.#running.push({ isolate, admitted, reservation, reserved: tokens });
  }

  /** A generation ends, having used this share of what it reserved; the object may never hear of it. */
  settle(nth: number, share: number, lost: boolean, wobble: number): void {
    const [ending] = this.#running.splice(nth % Math.max(1, this.#running.length), 1);
    if (ending === undefined) return;
    const { isolate, admitted, reservation, reserved } = ending;
    const used = Math.floor(reserved * share);
    admitted.tokens = used;
    const { pool, now } = this.#isolate(isolate, wobble);
    const settlement =
      "id" in reservation
        ? { id: reservation.id, requests: 1, tokens: used, ended: true }
        : pool.settle(reservation, used, now);
    if (settlement !== null && !lost) this.#ledger.settle(settlement, this.#now);
  }

  /** An isolate is gone with all it knew, and its requests with it. */
  killIsolate(at: number): void {
    const isolate = at % this.#pools.length;
    this.#pools[isolate] = new LeasePool();
    this.#running = this.#running.filter((running) => running.isolate !== isolate);
    this.#inFlight = this.#inFlight.filter((message) => message.isolate !== isolate);
  }

  /** The object is gone with what it had in memory, and starts again. */
  killObject(): void {
    this.#ledger = new Ledger(this.#store, this.#now);
  }

  #isolate(at: number, wobble: number): { isolate: number; pool: LeasePool; now: number } {
    const isolate = at % this.#pools.length;
    const pool = this.#pools[isolate];
    if (pool === undefined) throw new Error("a cluster has isolates");
    return { isolate, pool, now: this.#now + (this.#offsets[isolate] ?? 0) + wobble };
  }

  #admit(request: Omit<Admitted, "at">): Admitted {
    const admitted = { ...request, at: this.#now };
    this.admitted.push(admitted);
    return admitted;
  }
}
