import "./without-telemetry.ts";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { type DecoderConfig, kvRows, pastName, queryGroups } from "../graph/decoder.ts";
import { GRAPH_FILE } from "./decoder-files.ts";

/** One forward pass: B rows of S new tokens, each over P slots of past. */
export type DecoderBatch = {
  rows: number;
  sequence: number;
  pastSlots: number;
  /** [B,S]. */
  ids: BigInt64Array;
  /** [B,S]. */
  positions: BigInt64Array;
  /** [B,1,G·S,P+S], 0 where a query may look and {@link MASKED} where it may not; groups outermost. */
  mask: Float32Array;
  /** [N], indexes into the B·S tokens whose logits are wanted. */
  logitRows: BigInt64Array;
  /** Past keys or values of one layer, [B,kvHeads,P,headDim]; read in place, never copied. */
  past: (layer: number, kind: "key" | "value") => Float32Array;
};

export type DecoderOutput = {
  /** [N,vocab]. */
  logits: Float32Array;
  /** [B,kvRows,S,headDim]: the new keys and values, in the order layer, key before value, head. */
  newKv: Float32Array;
};

/** Added to a score that must not count. Finite, so that a row without any past still has a defined softmax. */
export const MASKED = -1e30;

/** The decoder graph in onnxruntime. `run` blocks the calling thread, so it belongs in a worker thread. */
export class DecoderSession {
  readonly config: DecoderConfig;
  readonly #session: InferenceSession;

  private constructor(session: InferenceSession, config: DecoderConfig) {
    this.#session = session;
    this.config = config;
  }

  /**
   * @param model the directory that `ensureDecoder` returned, or a whole model in memory.
   * @param threads physical cores to compute on; 0 lets onnxruntime choose.
   */
  static async load(model: string | Uint8Array, config: DecoderConfig, threads = 0): Promise<DecoderSession> {
    const options: InferenceSession.SessionOptions = {
      executionProviders: ["cpu"],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: "sequential",
      graphOptimizationLevel: "all",
      logSeverityLevel: 3,
    };
    const session =
      typeof model === "string"
        ? await InferenceSession.create(join(model, GRAPH_FILE), options)
        : await InferenceSession.create(model, options);
    return new DecoderSession(session, config);
  }

  async run(batch: DecoderBatch): Promise<DecoderOutput> {
    const { rows, sequence, pastSlots } = batch;
    const { layers, kvHeads, headDim } = this.config;
    const queries = queryGroups(this.config) * sequence;
    const feeds: Record<string, Tensor> = {
      input_ids: new Tensor("int64", batch.ids, [rows, sequence]),
      position_ids: new Tensor("int64", batch.positions, [rows, sequence]),
      mask: new Tensor("float32", batch.mask, [rows, 1, queries, pastSlots + sequence]),
      logit_rows: new Tensor("int64", batch.logitRows, [batch.logitRows.length]),
    };
    const pastShape = [rows, kvHeads, pastSlots, headDim];
    for (let layer = 0; layer < layers; layer++) {
      feeds[pastName(layer, "key")] = new Tensor("float32", batch.past(layer, "key"), pastShape);
      feeds[pastName(layer, "value")] = new Tensor("float32", batch.past(layer, "value"), pastShape);
    }
    const { logits, new_kv: newKv } = await this.#session.run(feeds);
    if (!(logits?.data instanceof Float32Array) || !(newKv?.data instanceof Float32Array)) {
      throw new Error("The decoder returned no logits or no new keys and values");
    }
    if (newKv.data.length !== rows * kvRows(this.config) * sequence * headDim) {
      throw new Error(`The decoder returned new keys and values of shape ${newKv.dims}`);
    }
    return { logits: logits.data, newKv: newKv.data };
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}
