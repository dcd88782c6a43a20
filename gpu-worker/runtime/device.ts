import type { KvType } from "../graph/precision.ts";
import { deviceMemory } from "./device-kv-cache.ts";
import { hostMemory } from "./host-kv-cache.ts";
import type { KvMemory, KvShape } from "./kv-cache.ts";
import type { Provider } from "./onnxruntime/library.ts";

/** What a decoder computes on. */
export type Device = {
  provider: Provider;
  /** How it holds keys and values. */
  kvType: KvType;
  /** What its driver calls it. */
  name: string;
};

/** The processor, which every machine has. */
export const CPU: Device = { provider: "cpu", kvType: "float32", name: "cpu" };

/** Memory for a decoder's keys and values on the device. */
export async function kvMemory({ provider, kvType }: Device, shape: KvShape): Promise<KvMemory> {
  return provider === "cpu" ? hostMemory(shape) : deviceMemory(shape, provider, kvType);
}
