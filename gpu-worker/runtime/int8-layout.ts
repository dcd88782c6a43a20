import { readFileSync } from "node:fs";
import { arch, platform } from "node:process";
import type { WeightLayout } from "../graph/precision.ts";

/** What Linux calls the instructions that multiply bytes and sum them in 32 bits; older ones saturate at 16 (AVX2's vpmaddubsw). */
const BYTE_PRODUCTS = /\b(avx512_vnni|avx_vnni)\b/;

/**
 * The int8 layout that this machine multiplies fastest without losing precision: whole channels where it sums products of bytes in 32
 * bits, as every ARM processor does; blocks elsewhere, and where nothing is known of the processor.
 */
export function int8Layout(): Exclude<WeightLayout, "fp32"> {
  if (arch === "arm64") return "int8-channels";
  return arch === "x64" && platform === "linux" && BYTE_PRODUCTS.test(processorFlags())
    ? "int8-channels"
    : "int8-blocks";
}

function processorFlags(): string {
  try {
    return /^flags\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "";
  } catch {
    return "";
  }
}
