import { arch, platform } from "node:process";
import { GraphBuilder } from "../graph/builder.ts";
import type { KvType } from "../graph/precision.ts";
import { serialiseGraph } from "../graph/serialise.ts";
import { CPU, type Device } from "./device.ts";
import { Binding, Session } from "./onnxruntime/session.ts";
import { type VulkanDevice, vulkanDevices } from "./vulkan.ts";

/** What a person chooses; `auto` is a graphics processor where one can be used, else the processor. */
export const DEVICE_CHOICES = ["cpu", "webgpu", "auto"] as const;
export type DeviceChoice = (typeof DEVICE_CHOICES)[number];

/** Where onnxruntime-node's library brings WebGPU, and what WebGPU stands on there. */
const BACKENDS: Record<string, string> = {
  "linux-x64": "Vulkan",
  "darwin-arm64": "Metal",
  "win32-x64": "Direct3D 12",
  "win32-arm64": "Direct3D 12",
};

const SEE = "docs/operate.md, “GPU”, says what a container needs.";

/**
 * The device that a choice means on this machine.
 *
 * @param onNotice told, under `auto`, why it is the processor
 * @throws Error where `webgpu` was chosen and there is nothing it can compute on, saying what to install
 */
export async function findDevice(choice: DeviceChoice, onNotice: (text: string) => void = () => {}): Promise<Device> {
  if (choice === "cpu") return CPU;
  try {
    return await webGpu(choice === "webgpu");
  } catch (error) {
    if (choice === "webgpu") throw error;
    onNotice(`Computing on the processor: ${error instanceof Error ? error.message : error}`);
    return CPU;
  }
}

async function webGpu(acceptsSoftware: boolean): Promise<Device> {
  const backend = BACKENDS[`${platform}-${arch}`];
  if (backend === undefined) throw new Error(`onnxruntime-node has no WebGPU for ${platform} on ${arch}.`);
  const name = backend === "Vulkan" ? vulkanName(vulkanDevices(), acceptsSoftware) : backend;
  return { provider: "webgpu", kvType: await widestKvType(), name };
}

/** The device that is going to be used, by its driver's name. @throws Error where there is none */
export function vulkanName(devices: readonly VulkanDevice[] | null, acceptsSoftware: boolean): string {
  if (devices === null) {
    throw new Error(
      `There is no Vulkan loader (libvulkan.so.1), through which graphics processors are used. Install libvulkan1 and the driver. ${SEE}`,
    );
  }
  const hardware = devices.filter(({ kind }) => kind !== "software");
  const [first] = acceptsSoftware ? [...hardware, ...devices] : hardware;
  if (first !== undefined) return first.name;
  const found = devices.map(({ name }) => name).join(", ");
  throw new Error(
    `Vulkan has no graphics processor that this process can use${found === "" ? "" : `, only ${found}`}. Install its Vulkan driver, and give ` +
      `the container the device: --gpus all and NVIDIA_DRIVER_CAPABILITIES=all for NVIDIA, --device /dev/dri for AMD and Intel. ${SEE}`,
  );
}

/**
 * float16 where the device computes in it, for half the memory.
 *
 * @throws OnnxRuntimeError where WebGPU refuses the device
 */
async function widestKvType(): Promise<KvType> {
  const builder = new GraphBuilder("float16");
  const half = builder.cast("half", builder.input("input", "float32", [1]), "float16");
  const sum = builder.node("Add", "sum", [half, half]);
  builder.output(builder.cast("whole", sum, "float32"), "output", "float32", [1]);
  const session = new Session(await serialiseGraph(builder.finish(), null), {
    threads: 1,
    provider: "webgpu",
    quiet: true,
  });
  const binding = new Binding(session);
  try {
    binding.feed("input", Float32Array.of(1.5), [1]);
    const output = binding.result("output", [1]);
    binding.run();
    return output[0] === 3 ? "float16" : "float32";
  } catch {
    return "float32";
  } finally {
    binding.release();
    session.release();
  }
}
