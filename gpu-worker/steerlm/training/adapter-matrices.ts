import type { DecoderConfig } from "../../graph/decoder.ts";
import { loraModules } from "../../graph/training/lora.ts";
import type { AdapterMatrices } from "../../model/save-adapter.ts";
import type { ParameterSet } from "../../runtime/parameter-set.ts";

/** Views of an adapter's matrices, module by module as PEFT has them, in the parameters that hold them for training. */
export function adapterMatrices(parameters: ParameterSet, config: DecoderConfig, rank: number): AdapterMatrices[] {
  return loraModules(config, rank).map(({ module, down, up }) => {
    const { values, shape } = parameters.part(down.name);
    const inputs = shape[1] ?? 0;
    const higher = parameters.part(up);
    return {
      module,
      down: { values: values.subarray(down.from * inputs, down.to * inputs), shape: [rank, inputs] },
      up: { values: higher.values, shape: [higher.shape[0] ?? 0, rank] },
    };
  });
}
