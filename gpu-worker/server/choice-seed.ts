import { seededRandom } from "../engine/random.ts";

/** Seeds of further choices are below this: any server takes them. */
const SEEDS = 2 ** 31;

/**
 * The seed of one choice of a seeded request: that of the request for the first, so that it is the answer the request would get by
 * itself, and for the others ones of their own, far from those of a request with a seed nearby.
 */
export function choiceSeed(seed: number | null, index: number): number | null {
  if (seed === null || index === 0) return seed;
  return (Math.floor(seededRandom(seed)() * SEEDS) + index) % SEEDS;
}
