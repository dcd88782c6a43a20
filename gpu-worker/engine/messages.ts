import type { DecoderConfig } from "../graph/decoder.ts";
import type { Device } from "../runtime/device.ts";
import type { TokenBytes } from "./detokeniser.ts";
import type { EngineOptions, StepReport } from "./engine.ts";
import type { GenerationRequest } from "./generation.ts";

/** What the engine thread is started with. */
export type EngineSetup = {
  /** Directory of the decoder's files, or a whole ONNX model. */
  model: string | Uint8Array;
  config: DecoderConfig;
  tokens: TokenBytes;
  eosIds: number[];
  /** Physical cores to compute on; 0 lets onnxruntime choose. */
  threads: number;
  /** What to compute on; the processor where nothing is said. */
  device?: Device | undefined;
  /** The same decoder built for a bank of adapters, which takes over with the first request that names one; and their memory. */
  adapters?: { model: string; memory: SharedArrayBuffer } | undefined;
  options: EngineOptions;
};

export type ToEngine =
  | { type: "submit"; request: GenerationRequest }
  | { type: "cancel"; id: string }
  /** Free what is held and end the thread, once the step in progress is over. */
  | { type: "close" };

export type FromEngine = { type: "ready" } | { type: "step"; report: StepReport };
