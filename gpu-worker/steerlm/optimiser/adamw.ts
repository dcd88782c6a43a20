export type AdamWSettings = { beta1: number; beta2: number; epsilon: number; weightDecay: number };

/** Of the optimiser's state: the count of steps as float64, then both moments as float32, all little-endian as in memory. */
const HEADER_BYTES = Float64Array.BYTES_PER_ELEMENT;

/** Adam with decoupled weight decay (Loshchilov and Hutter, 2019, algorithm 2), as torch.optim.AdamW computes it. */
export class AdamW {
  readonly #settings: AdamWSettings;
  readonly #first: Float32Array;
  readonly #second: Float32Array;
  #steps = 0;

  constructor(size: number, settings: AdamWSettings) {
    this.#settings = settings;
    this.#first = new Float32Array(size);
    this.#second = new Float32Array(size);
  }

  /** Steps taken so far. */
  get steps(): number {
    return this.#steps;
  }

  /** Changes the parameters in place. */
  step(parameters: Float32Array, gradients: Float32Array, learningRate: number): void {
    const { beta1, beta2, epsilon, weightDecay } = this.#settings;
    const [first, second] = [this.#first, this.#second];
    if (parameters.length !== first.length || gradients.length !== first.length) {
      throw new RangeError(
        `${first.length} parameters are optimised, not ${parameters.length} with ${gradients.length}`,
      );
    }
    this.#steps++;
    const rate = learningRate / (1 - beta1 ** this.#steps);
    const rootCorrection = Math.sqrt(1 - beta2 ** this.#steps);
    const kept = 1 - learningRate * weightDecay;
    for (let index = 0; index < first.length; index++) {
      const gradient = gradients[index] ?? 0;
      const mean = beta1 * (first[index] ?? 0) + (1 - beta1) * gradient;
      const square = beta2 * (second[index] ?? 0) + (1 - beta2) * gradient * gradient;
      first[index] = mean;
      second[index] = square;
      const change = (rate * mean) / (Math.sqrt(square) / rootCorrection + epsilon);
      parameters[index] = (parameters[index] ?? 0) * kept - change;
    }
  }

  /** All that the next step depends on beside its arguments, to the last bit. */
  serialise(): Uint8Array {
    const bytes = new Uint8Array(HEADER_BYTES + this.#first.byteLength + this.#second.byteLength);
    bytes.set(bytesOf(Float64Array.of(this.#steps)));
    bytes.set(bytesOf(this.#first), HEADER_BYTES);
    bytes.set(bytesOf(this.#second), HEADER_BYTES + this.#first.byteLength);
    return bytes;
  }

  /** Goes on where {@link serialise} was called. @throws RangeError where the state is of another number of parameters */
  restore(state: Uint8Array): void {
    const expected = HEADER_BYTES + this.#first.byteLength + this.#second.byteLength;
    if (state.length !== expected) {
      throw new RangeError(
        `An optimiser's state of ${state.length} bytes; ${this.#first.length} parameters need ${expected}`,
      );
    }
    const steps = new Float64Array(1);
    bytesOf(steps).set(state.subarray(0, HEADER_BYTES));
    this.#steps = steps[0] ?? 0;
    bytesOf(this.#first).set(state.subarray(HEADER_BYTES, HEADER_BYTES + this.#first.byteLength));
    bytesOf(this.#second).set(state.subarray(HEADER_BYTES + this.#first.byteLength));
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array | Float64Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
