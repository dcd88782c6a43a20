/** A small map whose entries expire; the oldest makes room when it is full. Lives in the isolate, holds no I/O objects. */
export class ExpiringCache<Value> {
  readonly #entries = new Map<string, { value: Value; expiresAt: number }>();
  readonly #capacity: number;
  readonly #lifetimeMs: number;

  constructor(options: { capacity: number; lifetimeMs: number }) {
    this.#capacity = options.capacity;
    this.#lifetimeMs = options.lifetimeMs;
  }

  /** @param now Unix milliseconds. */
  get(key: string, now: number): Value | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.expiresAt > now) return entry?.value;
    this.#entries.delete(key);
    return undefined;
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  set(key: string, value: Value, now: number): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value, expiresAt: now + this.#lifetimeMs });
    if (this.#entries.size <= this.#capacity) return;
    const oldest = this.#entries.keys().next();
    if (!oldest.done) this.#entries.delete(oldest.value);
  }
}
