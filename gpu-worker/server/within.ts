/**
 * Settles as `work` does, unless that takes longer than so many milliseconds.
 *
 * @param left gives the wait up
 * @throws what `late` makes, then; the signal's reason where it is given up
 */
export async function within<T>(
  milliseconds: number,
  work: Promise<T>,
  late: () => Error,
  left?: AbortSignal,
): Promise<T> {
  const ending = Promise.withResolvers<never>();
  const timer = setTimeout(() => ending.reject(late()), milliseconds);
  const leave = () => ending.reject(left?.reason);
  left?.addEventListener("abort", leave);
  try {
    return await Promise.race([work, ending.promise]);
  } finally {
    clearTimeout(timer);
    left?.removeEventListener("abort", leave);
  }
}
