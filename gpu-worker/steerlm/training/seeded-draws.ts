import { type Random, seededRandom } from "../../engine/random.ts";
import { unitHash } from "../unit-hash.ts";

/** Uniform numbers in [0, 1) that depend on a text alone: what step 100 draws needs no step before it. */
export const seededDraws = (seed: string): Random => seededRandom(unitHash(seed) * 2 ** 48);
