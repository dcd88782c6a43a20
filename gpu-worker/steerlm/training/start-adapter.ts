import type { DecoderConfig } from "../../graph/decoder.ts";
import { openAdapter } from "../../model/adapter.ts";
import type { ParameterSet } from "../../runtime/parameter-set.ts";
import { adapterMatrices } from "./adapter-matrices.ts";

export type StartAdapter = {
  /** SHA-256 of what it holds, for a run's identity. */
  contentHash: string;
  /** Makes it what training begins with. @throws Error where it is of another model or rank */
  copyTo(parameters: ParameterSet, config: DecoderConfig): Promise<void>;
};

/**
 * Opens an adapter for a training to begin with. Its matrices keep what they compute: where its scale is another, B is multiplied.
 *
 * @param directory a LoRA in PEFT's format, of the same rank and over all seven linear layers
 * @throws Error where it is none
 */
export async function openStartAdapter(
  directory: string,
  { rank, scale }: { rank: number; scale: number },
): Promise<StartAdapter & AsyncDisposable> {
  const adapter = await openAdapter(directory);
  return {
    contentHash: adapter.contentHash,
    async copyTo(parameters, config) {
      const matrices = adapterMatrices(parameters, config, rank);
      if (adapter.updates.size !== matrices.length) {
        throw new Error(
          `${directory} changes ${adapter.updates.size} layers of ${matrices.length}: begin with one that changes all.`,
        );
      }
      for (const { module, down, up } of matrices) {
        const update = adapter.updates.get(module);
        if (update === undefined) throw new Error(`${directory} does not change ${module}: it is of another model.`);
        if (update.rank !== rank) {
          throw new Error(`${directory} has rank ${update.rank}, not ${rank}: train with --rank ${update.rank}.`);
        }
        if (update.inputs !== down.shape[1] || update.outputs !== up.shape[0]) {
          throw new Error(`${directory} does not fit ${module}: it is of another model.`);
        }
        down.values.set(await update.down());
        const factor = update.scale / scale;
        up.values.set((await update.up()).map((value) => value * factor));
      }
    },
    [Symbol.asyncDispose]: () => adapter.close(),
  };
}
