import { rankOf } from "./affinity.ts";
import type { Region } from "./worker-list.ts";

/** A worker, as far as choosing among them goes. */
export type Candidate = {
  origin: string;
  weight: number;
  region: Region | null;
  /** `full`: it had no room a moment ago. `out`: not ready, left alone by its circuit breaker, or without the model. */
  standing: "free" | "full" | "out";
  /** Tokens that it may yet have to compute. */
  load: number;
};

export type Call = {
  /** Of the conversation; `null`: any worker is as good. */
  affinity: number | null;
  region: Region | null;
};

/** Tokens by which the preferred worker may be ahead of the least loaded: some four requests' worth, no wait that is felt. */
const SLACK_TOKENS = 4_096;
/** And how many times as loaded it may be. */
const SLACK_FACTOR = 2;

const relativeLoad = ({ load, weight }: Candidate) => load / weight;

/** Those of the caller's region, unless there is none of them with room. */
function near<C extends Candidate>(free: readonly C[], region: Region | null): readonly C[] {
  const inRegion = free.filter((candidate) => region !== null && candidate.region === region);
  return inRegion.length > 0 ? inRegion : free;
}

function lowest<C>(candidates: readonly C[], measure: (candidate: C) => number): C | null {
  let best: { candidate: C; measured: number } | null = null;
  for (const candidate of candidates) {
    const measured = measure(candidate);
    if (best === null || measured < best.measured) best = { candidate, measured };
  }
  return best?.candidate ?? null;
}

/**
 * The worker to ask: among those with room the nearest, and of these the one that the conversation prefers, which has its beginning
 * computed, unless that one is much more loaded than the least loaded. `null` where no worker may be asked. Ties fall as the conversation
 * prefers, or as `random` says.
 *
 * @param random from 0 to 1, of this call
 */
export function chooseWorker<C extends Candidate>(
  candidates: readonly C[],
  { affinity, region }: Call,
  random: number,
): C | null {
  const usable = candidates.filter(({ standing }) => standing !== "out");
  const free = usable.filter(({ standing }) => standing === "free");
  const pool = near(free.length > 0 ? free : usable, region);
  const tieBreak = affinity ?? Math.floor(random * 2 ** 32);
  const ranked = pool
    .map((candidate) => ({ candidate, rank: rankOf(tieBreak, candidate) }))
    .sort((one, other) => one.rank - other.rank)
    .map(({ candidate }) => candidate);
  const least = lowest(ranked, relativeLoad);
  const [preferred] = ranked;
  if (affinity === null || preferred === undefined || least === null) return least;
  const most = SLACK_FACTOR * relativeLoad(least) + SLACK_TOKENS / preferred.weight;
  return relativeLoad(preferred) <= most ? preferred : least;
}
