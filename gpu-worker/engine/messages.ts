import type { DecoderConfig } from "../graph/decoder.ts";
import type { TokenBytes } from "./detokeniser.ts";
import type { EngineOptions, StepReport } from "./engine.ts";
import type { SequenceRequest } from "./sequence.ts";

/** What the engine thread is started with. */
export type EngineSetup = {
  /** Directory of the decoder's files, or a whole ONNX model. */
  model: string | Uint8Array;
  config: DecoderConfig;
  tokens: TokenBytes;
  eosIds: number[];
  /** Physical cores to compute on; 0 lets onnxruntime choose. */
  threads: number;
  options: EngineOptions;
};

export type ToEngine = { type: "submit"; request: SequenceRequest } | { type: "cancel"; id: string };

export type FromEngine = { type: "ready" } | { type: "step"; report: StepReport };
