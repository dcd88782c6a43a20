import "vitest";

declare module "vitest" {
  /** What the global set-up starts for the tests. */
  interface ProvidedContext {
    workerUrl: string;
    workerSecret: string;
    /** Further workers, for those tests that have a pool of them. */
    poolUrls: string[];
    collectorUrl: string;
  }
}
