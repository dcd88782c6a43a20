import type { TestProject } from "vitest/node";
import { startMockWorker } from "./mock-worker.ts";

declare module "vitest" {
  interface ProvidedContext {
    workerUrl: string;
    workerSecret: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const secret = "secret of the tests";
  const worker = await startMockWorker(secret);
  project.provide("workerUrl", worker.url);
  project.provide("workerSecret", secret);
  return worker.close;
}
