/// <reference lib="esnext.float16" />

/**
 * The bytes of values as float16, little-endian, each rounded to the nearest, a half to the even one.
 *
 * @throws Error that names the tensor where a value is beyond what float16 holds
 */
export function halfPrecision(name: string, values: Float32Array): Buffer {
  const half = Float16Array.from(values);
  const at = half.findIndex((value) => !Number.isFinite(value));
  if (at >= 0)
    throw new Error(`${name} has the value ${values[at]}, which 16-bit floats cannot hold. Write it with 32 bits.`);
  return Buffer.from(half.buffer, half.byteOffset, half.byteLength);
}
