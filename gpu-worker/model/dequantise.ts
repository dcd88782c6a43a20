/**
 * GGML weight formats turned into float32, after the reference loops in ggml's `ggml-quants.c`. Every format packs a row into
 * blocks of a fixed number of values, each block with its own scale, so a tensor is decoded block by block.
 */

type Format = {
  name: string;
  /** Values in one block. */
  values: number;
  /** Bytes of one block. */
  bytes: number;
  decode: (input: Uint8Array, output: Float32Array) => void;
};

/** Every float16 bit pattern's value: a look-up is several times faster than decoding two bytes for each scale. */
let float16Table: Float32Array | undefined;

function float16Values(): Float32Array {
  if (float16Table !== undefined) return float16Table;
  const table = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 0) table[bits] = sign * fraction * 2 ** -24;
    else if (exponent === 31) table[bits] = fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    else table[bits] = sign * (1024 + fraction) * 2 ** (exponent - 25);
  }
  float16Table = table;
  return table;
}

/** One byte; a read past the end, which the length check in {@link dequantise} rules out, would be 0. */
const byte = (input: Uint8Array, at: number): number => input[at] ?? 0;
const int8 = (input: Uint8Array, at: number): number => (byte(input, at) << 24) >> 24;
const uint16 = (input: Uint8Array, at: number): number => byte(input, at) | (byte(input, at + 1) << 8);
const uint32 = (input: Uint8Array, at: number): number => uint16(input, at) | (uint16(input, at + 2) << 16);

function decodeF32(input: Uint8Array, output: Float32Array): void {
  new Uint8Array(output.buffer, output.byteOffset, output.byteLength).set(input);
}

function decodeF16(input: Uint8Array, output: Float32Array): void {
  const float16 = float16Values();
  for (let i = 0; i < output.length; i++) output[i] = float16[uint16(input, 2 * i)] ?? 0;
}

function decodeBF16(input: Uint8Array, output: Float32Array): void {
  const bits = new Uint32Array(output.buffer, output.byteOffset, output.length);
  for (let i = 0; i < bits.length; i++) bits[i] = uint16(input, 2 * i) << 16;
}

/** 32 signed bytes after one scale. */
function decodeQ8_0(input: Uint8Array, output: Float32Array): void {
  const float16 = float16Values();
  for (let at = 0, out = 0; out < output.length; at += 34, out += 32) {
    const scale = float16[uint16(input, at)] ?? 0;
    for (let j = 0; j < 32; j++) output[out + j] = int8(input, at + 2 + j) * scale;
  }
}

/**
 * The four formats of 32 values in 16 bytes of nibbles: value j in the low nibble of byte j, value j + 16 in the high one.
 * Formats with a minimum add it; those without subtract half the range. Five-bit formats keep each fifth bit in a word of 32.
 */
function decodeNibbles(five: boolean, minimum: boolean): Format["decode"] {
  const header = (minimum ? 4 : 2) + (five ? 4 : 0);
  const centre = minimum ? 0 : five ? 16 : 8;
  return (input, output) => {
    const float16 = float16Values();
    for (let at = 0, out = 0; out < output.length; at += header + 16, out += 32) {
      const scale = float16[uint16(input, at)] ?? 0;
      const offset = minimum ? (float16[uint16(input, at + 2)] ?? 0) : -centre * scale;
      const fifth = five ? uint32(input, at + header - 4) : 0;
      for (let j = 0; j < 16; j++) {
        const pair = byte(input, at + header + j);
        const low = (pair & 15) | (((fifth >>> j) & 1) << 4);
        const high = (pair >> 4) | (((fifth >>> (j + 16)) & 1) << 4);
        output[out + j] = low * scale + offset;
        output[out + j + 16] = high * scale + offset;
      }
    }
  };
}

/** Super-blocks of 256: eight sub-blocks of 32 nibbles, each with a six-bit scale and a six-bit minimum packed into 12 bytes. */
function decodeQ4_K(input: Uint8Array, output: Float32Array): void {
  const float16 = float16Values();
  for (let at = 0, out = 0; out < output.length; at += 144, out += 256) {
    const scale = float16[uint16(input, at)] ?? 0;
    const minimum = float16[uint16(input, at + 2)] ?? 0;
    for (let sub = 0; sub < 8; sub++) {
      const packed = at + 4 + sub;
      const sixBitScale =
        sub < 4 ? byte(input, packed) & 63 : (byte(input, packed + 4) & 15) | ((byte(input, packed - 4) >> 6) << 4);
      const sixBitMinimum =
        sub < 4 ? byte(input, packed + 4) & 63 : (byte(input, packed + 4) >> 4) | ((byte(input, packed) >> 6) << 4);
      const step = scale * sixBitScale;
      const floor = minimum * sixBitMinimum;
      const nibbles = at + 16 + 32 * (sub >> 1);
      const shift = 4 * (sub & 1);
      for (let j = 0; j < 32; j++) {
        output[out + 32 * sub + j] = ((byte(input, nibbles + j) >> shift) & 15) * step - floor;
      }
    }
  }
}

/** Super-blocks of 256: four low bits and two high bits of each value apart, sixteen signed scales. */
function decodeQ6_K(input: Uint8Array, output: Float32Array): void {
  const float16 = float16Values();
  for (let at = 0, out = 0; out < output.length; at += 210, out += 256) {
    const scale = float16[uint16(input, at + 208)] ?? 0;
    for (let half = 0; half < 2; half++) {
      const low = at + 64 * half;
      const high = at + 128 + 32 * half;
      const scales = at + 192 + 8 * half;
      for (let quarter = 0; quarter < 4; quarter++) {
        const nibbles = low + 32 * (quarter & 1);
        const shift = 4 * (quarter >> 1);
        for (let j = 0; j < 32; j++) {
          const lowBits = (byte(input, nibbles + j) >> shift) & 15;
          const highBits = (byte(input, high + j) >> (2 * quarter)) & 3;
          const step = scale * int8(input, scales + 2 * quarter + (j >> 4));
          output[out + 128 * half + 32 * quarter + j] = step * ((lowBits | (highBits << 4)) - 32);
        }
      }
    }
  }
}

/** Keyed by ggml's type number. */
const FORMATS = new Map<number, Format>([
  [0, { name: "F32", values: 1, bytes: 4, decode: decodeF32 }],
  [1, { name: "F16", values: 1, bytes: 2, decode: decodeF16 }],
  [2, { name: "Q4_0", values: 32, bytes: 18, decode: decodeNibbles(false, false) }],
  [3, { name: "Q4_1", values: 32, bytes: 20, decode: decodeNibbles(false, true) }],
  [6, { name: "Q5_0", values: 32, bytes: 22, decode: decodeNibbles(true, false) }],
  [7, { name: "Q5_1", values: 32, bytes: 24, decode: decodeNibbles(true, true) }],
  [8, { name: "Q8_0", values: 32, bytes: 34, decode: decodeQ8_0 }],
  [12, { name: "Q4_K", values: 256, bytes: 144, decode: decodeQ4_K }],
  [14, { name: "Q6_K", values: 256, bytes: 210, decode: decodeQ6_K }],
  [30, { name: "BF16", values: 1, bytes: 2, decode: decodeBF16 }],
]);

/** Names of the weight formats that can be read. */
export const SUPPORTED_FORMATS: string[] = [...FORMATS.values()].map((format) => format.name);

/**
 * Bytes that `count` values take up in ggml type `type`, or `undefined` where the type is not supported.
 *
 * @throws Error where `count` is no whole number of blocks
 */
export function quantisedSize(type: number, count: number): number | undefined {
  const format = FORMATS.get(type);
  if (format === undefined) return undefined;
  if (count % format.values !== 0) {
    throw new Error(`${count} values are no whole number of ${format.name} blocks of ${format.values}.`);
  }
  return (count / format.values) * format.bytes;
}

/**
 * Decodes `count` values stored in ggml type `type`, in the order they are stored.
 *
 * @throws Error for a type that is not supported, or `input` of the wrong length
 */
export function dequantise(type: number, input: Uint8Array, count: number): Float32Array {
  const format = FORMATS.get(type);
  const size = quantisedSize(type, count);
  if (format === undefined || size === undefined) throw new Error(`ggml type ${type} is not supported.`);
  if (input.byteLength !== size) {
    throw new Error(`${count} ${format.name} values take ${size} bytes, got ${input.byteLength}.`);
  }
  const output = new Float32Array(count);
  format.decode(input, output);
  return output;
}
