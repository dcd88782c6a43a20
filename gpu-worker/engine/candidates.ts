import { cutoff } from "./cutoff.ts";
import { decay, STEPS_PER_NAT } from "./exponential.ts";
import type { Random } from "./random.ts";

/**
 * How far below the peak a token can still be drawn, in units of the temperature. A vocabulary of 2¹⁸ tokens beyond it would have
 * 6·10⁻¹¹ of the probability together; the random numbers are 2·10⁻¹⁰ apart.
 */
const REACH = 36;
const BUCKETS = Math.ceil(REACH * STEPS_PER_NAT) + 1;

/**
 * The sum of the weights in each bucket, and how many tokens are in it. Of the module and not of the class: V8 is quicker at arrays
 * that it knows for good.
 */
const MASSES = new Float64Array(BUCKETS);
const COUNTS = new Float64Array(BUCKETS);
/**
 * Steps per logit, the lowest logit and the lowest weight of a collection. What is read from here is a float to V8 even where it is
 * whole; a plain number that was whole once would be converted again for every token.
 */
const SCALE = new Float64Array(3);

/**
 * The tokens that one draw can come to, in the order of their ids. A token's weight is e^((logit − peak) / temperature), so the largest
 * is 1. Tokens of about the same weight, within 2 %, share a bucket, the likeliest the first: a cut or a draw looks for its bucket in
 * their masses and then only at the tokens in there, and nothing is ever sorted.
 *
 * One for all draws: it is filled and drawn from before the next, and a vocabulary of numbers is too much to allocate each time.
 */
export class Candidates {
  #ids = new Int32Array(0);
  #buckets = new Uint16Array(0);
  #count = 0;
  /** Buckets that cuts have left. */
  #end = 0;

  #logits: Float32Array = new Float32Array(0);
  #best = 0;

  /** The bucket that was looked into last, and its tokens but for those that a cut has taken out. */
  #open = -1;
  #members = 0;
  #memberIds = new Int32Array(0);
  #memberLogits = new Float32Array(0);
  #memberWeights = new Float64Array(0);
  /** What members count where tokens are counted. */
  #ones = new Float64Array(0);

  /**
   * @param logits [vocab], only read, until the draw.
   * @param best id of the largest of them, which is finite.
   * @param temperature above 0.
   * @param least weight of a token that may be drawn.
   */
  collect(logits: Float32Array, best: number, temperature: number, least: number): void {
    this.#fit(logits.length);
    this.#logits = logits;
    this.#best = best;
    // Of the smallest temperatures the inverse is infinite, and 0 times that no number.
    SCALE[0] = Math.min(STEPS_PER_NAT / temperature, Number.MAX_VALUE);
    // The logarithm may differ in its last bits between machines: it is given room, and the weights decide.
    SCALE[1] = (logits[best] ?? 0) - temperature * Math.min(REACH, 1e-6 - Math.log(least));
    SCALE[2] = least;
    this.#end = BUCKETS;
    this.#open = -1;
    const peak = logits[best] ?? 0;
    const stepsPerLogit = SCALE[0] ?? 0;
    const floor = SCALE[1] ?? 0;
    const lightest = SCALE[2] ?? 0;
    const ids = this.#ids;
    const buckets = this.#buckets;
    MASSES.fill(0);
    let count = 0;
    for (let id = 0; id < logits.length; id++) {
      const logit = logits[id] ?? 0;
      if (!(logit >= floor)) continue;
      const steps = (peak - logit) * stepsPerLogit;
      const weight = decay(steps);
      if (weight < lightest) continue;
      const bucket = steps | 0;
      MASSES[bucket] = (MASSES[bucket] ?? 0) + weight;
      ids[count] = id;
      buckets[count] = bucket;
      count++;
    }
    this.#count = count;
  }

  /** Keeps the `most` most likely; of equals, the lower ids. Only as the first cut. */
  keepCount(most: number): void {
    if (most >= this.#count) return;
    const count = this.#count;
    const buckets = this.#buckets;
    COUNTS.fill(0);
    for (let index = 0; index < count; index++) {
      const bucket = buckets[index] ?? 0;
      COUNTS[bucket] = (COUNTS[bucket] ?? 0) + 1;
    }
    this.#keep(COUNTS, this.#ones, most);
  }

  /** Keeps the smallest set that has this share of the probability; of equals, the lower ids. */
  keepShare(share: number): void {
    if (share < 1) this.#keep(MASSES, this.#memberWeights, share * this.#mass());
  }

  /** Takes one of what is left, by its probability. */
  draw(random: Random): number {
    let left = random() * this.#mass();
    let drawn = 0;
    for (let bucket = 0; bucket < this.#end; bucket++) {
      const mass = MASSES[bucket] ?? 0;
      if (mass === 0) continue;
      drawn = bucket;
      if (left < mass) break;
      left -= mass;
    }
    this.#lookInto(drawn);
    const weights = this.#memberWeights;
    // Rounding can leave a trace of mass after the last one.
    const last = this.#members - 1;
    let member = 0;
    for (; member < last; member++) {
      left -= weights[member] ?? 0;
      if (left < 0) break;
    }
    return this.#memberIds[member] ?? 0;
  }

  /**
   * Keeps the fewest that measure up to `wanted`.
   *
   * @param sums of the measures, by bucket.
   * @param measures of the members of a bucket, once it is looked into.
   */
  #keep(sums: Float64Array, measures: Float64Array, wanted: number): void {
    let left = wanted;
    let edge = 0;
    for (; edge < this.#end; edge++) {
      const sum = sums[edge] ?? 0;
      if (sum >= left) break;
      left -= sum;
    }
    // All are wanted, or all but a rounding.
    if (edge === this.#end) return;
    this.#lookInto(edge);
    const ids = this.#memberIds;
    const logits = this.#memberLogits;
    const weights = this.#memberWeights;
    const members = this.#members;
    const { bar, ties } = cutoff(logits, measures, members, left);
    let room = ties;
    let kept = 0;
    let mass = 0;
    for (let member = 0; member < members; member++) {
      const logit = logits[member] ?? 0;
      if (logit < bar || (logit === bar && room-- <= 0)) continue;
      const weight = weights[member] ?? 0;
      ids[kept] = ids[member] ?? 0;
      logits[kept] = logit;
      weights[kept] = weight;
      kept++;
      mass += weight;
    }
    this.#members = kept;
    MASSES[edge] = mass;
    this.#end = edge + 1;
  }

  #mass(): number {
    const end = this.#end;
    let mass = 0;
    for (let bucket = 0; bucket < end; bucket++) mass += MASSES[bucket] ?? 0;
    return mass;
  }

  /** Lists the tokens of a bucket. */
  #lookInto(wanted: number): void {
    if (wanted === this.#open) return;
    const logits = this.#logits;
    const peak = logits[this.#best] ?? 0;
    const stepsPerLogit = SCALE[0] ?? 0;
    const ids = this.#ids;
    const buckets = this.#buckets;
    const count = this.#count;
    const memberIds = this.#memberIds;
    const memberLogits = this.#memberLogits;
    const memberWeights = this.#memberWeights;
    let members = 0;
    for (let index = 0; index < count; index++) {
      if (buckets[index] !== wanted) continue;
      const id = ids[index] ?? 0;
      const logit = logits[id] ?? 0;
      memberIds[members] = id;
      memberLogits[members] = logit;
      memberWeights[members] = decay((peak - logit) * stepsPerLogit);
      members++;
    }
    this.#members = members;
    this.#open = wanted;
  }

  #fit(vocabulary: number): void {
    if (this.#ids.length >= vocabulary) return;
    this.#ids = new Int32Array(vocabulary);
    this.#buckets = new Uint16Array(vocabulary);
    this.#memberIds = new Int32Array(vocabulary);
    this.#memberLogits = new Float32Array(vocabulary);
    this.#memberWeights = new Float64Array(vocabulary);
    this.#ones = new Float64Array(vocabulary).fill(1);
  }
}
