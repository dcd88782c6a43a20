import { parseWorkerList } from "./worker-list.ts";
import { WorkerState } from "./worker-state.ts";

/** What each streamed request adds to what may be spent on asking a second worker beside a slow one, and the most that is saved up. */
const HEDGES_PER_REQUEST = 0.1;
const MOST_HEDGES = 5;

/** The configured workers, and what this isolate knows of them. */
export class Pool {
  readonly workers: readonly WorkerState[];
  #hedges = MOST_HEDGES;

  constructor(workers: readonly WorkerState[]) {
    this.workers = workers;
  }

  /** A streamed request is made. */
  earnHedge(): void {
    this.#hedges = Math.min(MOST_HEDGES, this.#hedges + HEDGES_PER_REQUEST);
  }

  /** Whether a second worker may be asked: one request in ten at most, so that slow workers are not given twice the work. */
  spendHedge(): boolean {
    if (this.#hedges < 1) return false;
    this.#hedges -= 1;
    return true;
  }
}

type Configuration = Pick<Cloudflare.Env, "WORKERS" | "WORKER_URL">;

/** By configuration, of which there is one for the life of an isolate, but in tests. */
const pools = new Map<string, Pool>();

/**
 * The pool of this isolate.
 *
 * @throws AttuneError `internal_error` where the configuration is wrong
 */
export function poolOf({ WORKERS, WORKER_URL }: Configuration): Pool {
  const key = WORKERS ?? WORKER_URL;
  const known = pools.get(key);
  if (known !== undefined) return known;
  const entries = parseWorkerList({ WORKERS, WORKER_URL });
  const pool = new Pool(entries.map((entry) => new WorkerState(entry, entries.length === 1)));
  pools.set(key, pool);
  return pool;
}
