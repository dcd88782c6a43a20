import { readFileSync } from "node:fs";
import { arch, availableParallelism, cpus, platform, release, totalmem } from "node:os";

export type Machine = {
  /** The widest instruction set that matters to these engines' kernels. */
  isa: string;
  cpu: string;
  /** Physical cores this process may use. */
  cores: number;
  memoryGiB: number;
  system: string;
};

/** From the most to the least capable; names as in the kernel's flags. */
const INSTRUCTION_SETS: { isa: string; flags: string[] }[] = [
  { isa: "amx_int8", flags: ["amx_int8"] },
  { isa: "avx512_vnni", flags: ["avx512_vnni"] },
  { isa: "avx512", flags: ["avx512f"] },
  { isa: "avx_vnni", flags: ["avx_vnni"] },
  { isa: "avx2", flags: ["avx2"] },
];

export function describeMachine(): Machine {
  const processors = cpuInfo();
  const flags = new Set((processors[0]?.get("flags") ?? "").split(" "));
  const known = INSTRUCTION_SETS.find((set) => set.flags.every((flag) => flags.has(flag)));
  return {
    isa: known?.isa ?? arch(),
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: physicalCores(processors),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${release()}`,
  };
}

/** /proc/cpuinfo as one table a processor; none where there is no such file. */
function cpuInfo(): Map<string, string>[] {
  let text: string;
  try {
    text = readFileSync("/proc/cpuinfo", "utf8");
  } catch {
    return [];
  }
  const blocks = text.trim().split(/\n\s*\n/);
  return blocks.map((block) => {
    const pairs = block.split("\n").map((line): [string, string] => {
      const [key = "", value = ""] = line.split(":");
      return [key.trim(), value.trim()];
    });
    return new Map(pairs);
  });
}

/** Two hardware threads of one core share its multipliers, so only cores count. */
function physicalCores(processors: Map<string, string>[]): number {
  const cores = new Set(processors.map((processor) => `${processor.get("physical id")}:${processor.get("core id")}`));
  return Math.max(1, Math.min(availableParallelism(), cores.size || availableParallelism()));
}
