import { describe, expect, it } from "vitest";
import { findDevice, vulkanName } from "../../../gpu-worker/runtime/find-device.ts";
import type { VulkanDevice } from "../../../gpu-worker/runtime/vulkan.ts";

const GRAPHICS: VulkanDevice = { name: "NVIDIA L4", kind: "discrete" };
const SOFTWARE: VulkanDevice = { name: "llvmpipe", kind: "software" };

describe("the device to compute on", () => {
  it("is the processor where that was chosen, without asking for any other", async () => {
    expect(await findDevice("cpu")).toEqual({ provider: "cpu", kvType: "float32", name: "cpu" });
  });

  it("is a graphics processor rather than what only imitates one", () => {
    expect(vulkanName([SOFTWARE, GRAPHICS], true)).toBe("NVIDIA L4");
    expect(vulkanName([SOFTWARE, GRAPHICS], false)).toBe("NVIDIA L4");
  });

  it("is software only where WebGPU was asked for by name", () => {
    expect(vulkanName([SOFTWARE], true)).toBe("llvmpipe");
    expect(() => vulkanName([SOFTWARE], false)).toThrow("only llvmpipe");
  });

  it("is refused with what to install and what to give the container", () => {
    expect(() => vulkanName(null, true)).toThrow(/no Vulkan loader.*Install libvulkan1/);
    expect(() => vulkanName([], true)).toThrow(/NVIDIA_DRIVER_CAPABILITIES=all.*--device \/dev\/dri/);
  });
});
