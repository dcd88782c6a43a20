import type { GenerateRequest, GenerationReport, GenerationState } from "../../schema/wire/generate.ts";

/** What the mock knows about a generation; tests read it at `GET /seen?text=<the last message>`. */
export type SeenGeneration = {
  request: GenerateRequest;
  /** The headers that it came with. */
  headers: Record<string, string | string[] | undefined>;
  state: GenerationState;
  usage: GenerationReport["usage"];
  /** Whether the edge closed the connection before the answer was complete. */
  connectionClosed: boolean;
  cancels: number;
};
