import { deadlineExceeded } from "../../schema/wire/errors.ts";
import type { GenerateRequest } from "../../schema/wire/generate.ts";
import type { GenerationRequest } from "../engine/generation.ts";
import { within } from "./within.ts";

export type Scheduling = Pick<GenerationRequest, "priority" | "deadline">;

/**
 * Where a request stands in the queue, and when it has to be finished.
 *
 * @param arrived in the milliseconds of clock.ts
 */
export function schedulingOf({ priority, deadline_ms }: GenerateRequest, arrived: number): Scheduling {
  return {
    ...(priority !== undefined && { priority }),
    ...(deadline_ms !== undefined && { deadline: arrived + deadline_ms }),
  };
}

/**
 * Settles as `work` does, unless the deadline comes earlier.
 *
 * @param remaining milliseconds until then; `undefined` where there is no deadline
 * @throws AttuneError `deadline_exceeded`
 */
export async function beforeDeadline<T>(work: Promise<T>, remaining: number | undefined): Promise<T> {
  return remaining === undefined ? work : within(remaining, work, deadlineExceeded);
}
