/**
 * Milliseconds of a clock that is never set back and is the same in all threads of this process; `performance.now()` begins anew in
 * each thread.
 */
export const monotonicNow = (): number => Number(process.hrtime.bigint()) / 1e6;
