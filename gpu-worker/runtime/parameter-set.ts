/** Tensors that are trained together: one stretch of memory, of which each has its part. */
export class ParameterSet {
  readonly values: Float32Array;
  readonly parts: readonly ParameterPart[];
  readonly #byName: Map<string, ParameterPart>;

  /** All zeros. */
  constructor(shapes: readonly { name: string; shape: readonly number[] }[]) {
    const sizes = shapes.map(({ shape }) => shape.reduce((product, length) => product * length, 1));
    this.values = new Float32Array(sizes.reduce((sum, size) => sum + size, 0));
    let end = 0;
    this.parts = shapes.map(({ name, shape }, index) => {
      const start = end;
      end += sizes[index] ?? 0;
      return { name, shape, values: this.values.subarray(start, end) };
    });
    this.#byName = new Map(this.parts.map((part) => [part.name, part]));
  }

  /** @throws Error where there is none of that name */
  part(name: string): ParameterPart {
    const part = this.#byName.get(name);
    if (part === undefined) throw new Error(`No parameter is called ${name}`);
    return part;
  }
}

/** `values` is a view, row-major. */
export type ParameterPart = { name: string; shape: readonly number[]; values: Float32Array };
