/** A source of uniform numbers in [0, 1). */
export type Random = () => number;

/**
 * A seeded generator (sfc32, Doty-Humphrey 2010): one per request, so that what else is in the batch never changes its draws.
 *
 * @param seed any integer; null takes one from the system.
 */
export function seededRandom(seed: number | null): Random {
  const state = new Uint32Array(4);
  if (seed === null) crypto.getRandomValues(state);
  else {
    const bits = BigInt.asUintN(64, BigInt(seed));
    state.set([Number(bits & 0xffffffffn), Number(bits >> 32n), 0x9e3779b9, 1]);
  }
  const next = () => {
    const [a = 0, b = 0, c = 0, counter = 0] = state;
    const sum = (a + b + counter) >>> 0;
    state[0] = b ^ (b >>> 9);
    state[1] = c + (c << 3);
    state[2] = ((c << 21) | (c >>> 11)) + sum;
    state[3] = counter + 1;
    return sum / 2 ** 32;
  };
  // Similar seeds start out with similar draws; twelve rounds mix them.
  for (let round = 0; round < 12; round++) next();
  return next;
}
