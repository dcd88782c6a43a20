import type { ParameterSet } from "../../runtime/parameter-set.ts";

/**
 * Fills parameters as PEFT and PyTorch do: B zeros, so that an adapter begins as no change at all; A and a linear head uniform between
 * ±1/√inputs.
 *
 * @param random uniform on [0, 1)
 */
export function initialiseParameters({ parts }: ParameterSet, random: () => number): void {
  for (const { name, shape, values } of parts) {
    if (name.endsWith(".B") || name.endsWith(".bias")) {
      values.fill(0);
      continue;
    }
    const bound = 1 / Math.sqrt(shape[1] ?? 1);
    for (let index = 0; index < values.length; index++) values[index] = (2 * random() - 1) * bound;
  }
}
