import type { TestProject } from "vitest/node";
import { startMockCollector } from "./mock-collector.ts";
import { startMockWorker } from "./mock-worker.ts";
import "./provided.ts";

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const secret = "secret of the tests";
  const collector = await startMockCollector();
  const [worker, ...pool] = await Promise.all([
    startMockWorker(secret),
    startMockWorker(secret),
    startMockWorker(secret),
  ]);
  project.provide("workerUrl", worker.url);
  project.provide("workerSecret", secret);
  project.provide(
    "poolUrls",
    pool.map(({ url }) => url),
  );
  project.provide("collectorUrl", collector.url);
  return async () => {
    await Promise.all([collector, worker, ...pool].map(({ close }) => close()));
  };
}
