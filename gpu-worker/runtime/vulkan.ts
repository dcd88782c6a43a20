import koffi from "koffi";

/** Something that computes through Vulkan. */
export type VulkanDevice = { name: string; kind: "integrated" | "discrete" | "virtual" | "software" | "other" };

/** VkPhysicalDeviceType. */
const KINDS: VulkanDevice["kind"][] = ["other", "integrated", "discrete", "virtual", "software"];

/** VkInstanceCreateInfo, whose first field says what it is; all others are empty. */
const INSTANCE_INFO_BYTES = 64;
const INSTANCE_INFO = 1;

/** VkPhysicalDeviceProperties: room for all of it, and where in it the type and the name are. */
const PROPERTIES_BYTES = 1024;
const KIND_OFFSET = 16;
const NAME_OFFSET = 20;
const NAME_BYTES = 256;

/**
 * What Vulkan drivers are installed for and can be used by this process.
 *
 * @returns `null` where there is no Vulkan loader
 */
export function vulkanDevices(): VulkanDevice[] | null {
  const vulkan = loader();
  if (vulkan === null) return null;
  const create = vulkan.func("int vkCreateInstance(void *info, void *allocator, _Out_ void **instance)");
  const destroy = vulkan.func("void vkDestroyInstance(void *instance, void *allocator)");
  const enumerate = vulkan.func(
    "int vkEnumeratePhysicalDevices(void *instance, _Inout_ uint32_t *count, _Out_ uint64_t *devices)",
  );
  const describe = vulkan.func("void vkGetPhysicalDeviceProperties(void *device, _Out_ uint8_t *properties)");

  const info = Buffer.alloc(INSTANCE_INFO_BYTES);
  info.writeUInt32LE(INSTANCE_INFO);
  const instance: [unknown] = [null];
  if (create(info, null, instance) !== 0) return [];
  try {
    const count: [number] = [0];
    enumerate(instance[0], count, null);
    const devices = new BigUint64Array(count[0]);
    if (devices.length > 0) enumerate(instance[0], count, devices);
    return Array.from(devices, (device) => {
      const properties = Buffer.alloc(PROPERTIES_BYTES);
      describe(device, properties);
      const name = properties.toString("utf8", NAME_OFFSET, NAME_OFFSET + NAME_BYTES);
      return { name: name.slice(0, name.indexOf("\0")), kind: KINDS[properties.readUInt32LE(KIND_OFFSET)] ?? "other" };
    });
  } finally {
    destroy(instance[0], null);
  }
}

function loader() {
  try {
    return koffi.load("libvulkan.so.1");
  } catch {
    return null;
  }
}
