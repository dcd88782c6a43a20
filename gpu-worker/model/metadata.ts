/** The key-value part of a GGUF file, read with the type each key must have. */
export class GgufMetadata {
  readonly #values: ReadonlyMap<string, unknown>;
  readonly #source: string;

  /** @param source What the error messages call the file. */
  constructor(values: object, source: string) {
    this.#values = new Map(Object.entries(values));
    this.#source = source;
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  /** @throws Error where the key is missing or no string */
  string(key: string): string {
    const value = this.#required(key);
    return typeof value === "string" ? value : this.#reject(key, "a string");
  }

  /** @throws Error where the key is missing or no number that JavaScript holds exactly */
  number(key: string): number {
    const value = this.#required(key);
    const number = typeof value === "bigint" ? Number(value) : value;
    if (typeof number !== "number" || (typeof value === "bigint" && !Number.isSafeInteger(number))) {
      return this.#reject(key, "a number");
    }
    return number;
  }

  /** @throws Error where the key is missing or no boolean */
  boolean(key: string): boolean {
    const value = this.#required(key);
    return typeof value === "boolean" ? value : this.#reject(key, "a boolean");
  }

  /** @throws Error where the key is missing or no list of strings */
  strings(key: string): string[] {
    return this.#list(key, (entry) => typeof entry === "string", "a list of strings");
  }

  /** @throws Error where the key is missing or no list of numbers */
  numbers(key: string): number[] {
    return this.#list(key, (entry) => typeof entry === "number", "a list of numbers");
  }

  #list<T>(key: string, isEntry: (entry: unknown) => entry is T, kind: string): T[] {
    const value = this.#required(key);
    return Array.isArray(value) && value.every(isEntry) ? value : this.#reject(key, kind);
  }

  #required(key: string): unknown {
    if (!this.has(key)) throw new Error(`${this.#source} lacks the metadata key ${key}.`);
    return this.#values.get(key);
  }

  #reject(key: string, kind: string): never {
    throw new Error(`${this.#source}: the metadata key ${key} must be ${kind}.`);
  }
}
