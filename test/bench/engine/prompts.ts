import { seededRandom } from "../../../gpu-worker/engine/random.ts";

/** Ids of ordinary tokens in SmolLM2's vocabulary (and every other of this size): markers and bytes come before, padding after. */
const FIRST_TOKEN = 1000;
const LAST_TOKEN = 40_000;

/** Prompts that nobody saw before, the same in every run, so that no engine's prefix cache can help. */
export function promptSource(seed: number): (tokens: number) => number[] {
  const random = seededRandom(seed);
  return (tokens) =>
    Array.from({ length: tokens }, () => FIRST_TOKEN + Math.floor(random() * (LAST_TOKEN - FIRST_TOKEN)));
}
