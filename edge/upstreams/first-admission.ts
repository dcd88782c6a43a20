import type { Outcome } from "./outcome.ts";

/** After so long without a word a second worker is asked too: workers answer streamed requests on admission, before any work. */
export const HEDGE_MS = 2_000;

/** Two workers in a row that break at it: it may be the request that breaks them. */
const MAX_FAILURES = 2;

const goesOn = (outcome: Outcome) => (outcome.kind === "refused" || outcome.kind === "failed") && outcome.elsewhere;

type Settled<W> = { worker: W; outcome: Outcome };

function alarm(milliseconds: number): { rings: Promise<null>; off: () => void } {
  const { promise, resolve } = Promise.withResolvers<null>();
  const timer = setTimeout(() => resolve(null), milliseconds);
  return { rings: promise, off: () => clearTimeout(timer) };
}

/**
 * Asks one worker after the other until one admits the request, or refuses it for what the request is: another only where the one before did no
 * work. Where the first says nothing for a while, a second one is asked beside it; whoever is later is told that nobody waits.
 *
 * @param options.next the worker to ask next, or `null`
 * @param options.ask never rejects; aborting `signal` ends it as `abandoned`
 * @param options.mayHedge whether a second worker may be asked beside the first; `null`: never, and nothing is got ready for it
 * @returns the outcome that counts; `null` where there was no worker to ask
 */
export async function firstAdmission<W>(options: {
  next: (last: Outcome | null) => W | null;
  ask: (worker: W, signal: AbortSignal) => Promise<Outcome>;
  mayHedge: (() => boolean) | null;
  signal: AbortSignal;
}): Promise<Settled<W> | null> {
  const running = new Map<W, { leave: AbortController | null; settled: Promise<Settled<W>> }>();
  const start = (worker: W | null) => {
    if (worker === null) return;
    const leave = options.mayHedge === null ? null : new AbortController();
    const signal = leave === null ? options.signal : AbortSignal.any([leave.signal, options.signal]);
    const asked = options.ask(worker, signal);
    running.set(worker, { leave, settled: asked.then((outcome) => ({ worker, outcome })) });
  };

  let last: Settled<W> | null = null;
  let failures = 0;
  let patience = options.mayHedge === null ? null : alarm(HEDGE_MS);
  start(options.next(null));
  try {
    while (running.size > 0) {
      const answers = [...running.values()].map(({ settled }) => settled);
      const settled = await Promise.race(patience === null ? answers : [...answers, patience.rings]);
      if (settled === null) {
        patience = null;
        if (options.mayHedge?.()) start(options.next(null));
        continue;
      }
      running.delete(settled.worker);
      last = settled;
      failures += settled.outcome.kind === "failed" ? 1 : 0;
      if (!goesOn(settled.outcome) || failures >= MAX_FAILURES) break;
      if (running.size === 0) start(options.next(settled.outcome));
    }
    return last;
  } finally {
    patience?.off();
    for (const { leave } of running.values()) leave?.abort();
  }
}
