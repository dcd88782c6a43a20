/**
 * Does `work` for every item, at most `limit` at a time, and keeps their order. The first failure ends the others through their signal,
 * and is thrown when all have ended.
 */
export async function concurrently<T, R>(
  items: readonly T[],
  limit: number,
  signal: AbortSignal,
  work: (item: T, signal: AbortSignal) => Promise<R>,
): Promise<R[]> {
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const results = new Map<number, R>();
  const waiting = items.entries();
  const run = async () => {
    for (const [index, item] of waiting) {
      if (either.aborted) return;
      try {
        results.set(index, await work(item, either));
      } catch (error) {
        failed.abort(error);
      }
    }
  };
  await Promise.all(Array.from({ length: limit }, run));
  either.throwIfAborted();
  return [...results].sort(([a], [b]) => a - b).map(([, result]) => result);
}
