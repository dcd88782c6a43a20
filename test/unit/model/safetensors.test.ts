import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openSafetensors, type Safetensors } from "../../../gpu-worker/model/safetensors.ts";
import { float32Tensor, rawSafetensors, safetensorsBytes } from "../../fixtures/tiny-safetensors.ts";

let directory: string;
let path: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "attune-safetensors-"));
  path = join(directory, "model.safetensors");
});
afterAll(() => rm(directory, { recursive: true }));

async function withFile<T>(bytes: Uint8Array, use: (file: Safetensors) => T | Promise<T>): Promise<T> {
  await writeFile(path, bytes);
  const file = await openSafetensors(path);
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

const refusal = (bytes: Uint8Array) => expect(withFile(bytes, () => "opened")).rejects;

/** A header with these entries over `length` bytes of data. */
const file = (entries: object, length: number) => rawSafetensors(JSON.stringify(entries), new Uint8Array(length));
const entry = (start: number, end: number, shape = [(end - start) / 4]) => ({
  dtype: "F32",
  shape,
  data_offsets: [start, end],
});

describe("a safetensors file", () => {
  it("gives shapes and values of F32, F16 and BF16 tensors", () => {
    const tensors = [
      float32Tensor("plain", [2, 3], Float32Array.of(1, -2, 0.1, 3e38, 1e-40, -0)),
      { name: "half", dtype: "F16", shape: [4], bytes: Uint8Array.of(0x00, 0x3c, 0x00, 0xc0, 0xff, 0x7b, 0x01, 0x00) },
      { name: "brain", dtype: "BF16", shape: [2, 1], bytes: Uint8Array.of(0x80, 0x3f, 0x49, 0xc0) },
      { name: "scalar", dtype: "F32", shape: [], bytes: Uint8Array.of(0, 0, 0x80, 0x3f) },
      { name: "empty", dtype: "F32", shape: [0, 7], bytes: new Uint8Array() },
    ];
    return withFile(safetensorsBytes(tensors), async (opened) => {
      expect(opened.tensorNames).toEqual(["plain", "half", "brain", "scalar", "empty"]);
      expect(opened.shape("plain")).toEqual([2, 3]);
      expect(await opened.readFloat32("plain")).toEqual(Float32Array.of(1, -2, 0.1, 3e38, 1e-40, -0));
      expect(await opened.readFloat32("half")).toEqual(Float32Array.of(1, -2, 65504, 2 ** -24));
      expect(await opened.readFloat32("brain")).toEqual(Float32Array.of(1, -3.140625));
      expect(await opened.readFloat32("scalar")).toEqual(Float32Array.of(1));
      expect(await opened.readFloat32("empty")).toEqual(new Float32Array());
    });
  });

  it("may list its tensors in any order, pad its header and hold types that nobody reads", () => {
    const header = `${JSON.stringify({ late: entry(8, 16), ids: { dtype: "I64", shape: [1], data_offsets: [0, 8] } })}    `;
    return withFile(rawSafetensors(header, new Uint8Array(16)), async (opened) => {
      expect(await opened.readFloat32("late")).toEqual(new Float32Array(2));
      await expect(opened.readFloat32("ids")).rejects.toThrow(
        `${path}: tensor ids is stored as I64; supported are F32, F16, BF16.`,
      );
    });
  });

  it("names the tensor that it has not", () =>
    withFile(file({ a: entry(0, 4) }, 4), async (opened) => {
      expect(opened.has("b")).toBe(false);
      expect(() => opened.shape("b")).toThrow(`${path} has no tensor b.`);
      await expect(opened.readFloat32("__proto__")).rejects.toThrow("has no tensor __proto__");
    }));

  it("has one hash for the same bytes and another for any other", async () => {
    const hashOf = (bytes: Uint8Array) => withFile(bytes, (opened) => opened.contentHash());
    const bytes = file({ a: entry(0, 4) }, 4);
    const hash = await hashOf(bytes);
    expect(await hashOf(bytes)).toBe(hash);
    bytes.writeUInt8(1, bytes.length - 1);
    expect(await hashOf(bytes)).not.toBe(hash);
  });
});

describe("a broken or hostile safetensors file", () => {
  it("is refused when it is not there, too short for a header, or cut within it", async () => {
    await expect(openSafetensors(join(directory, "nothing"))).rejects.toThrow(/^Cannot open .*nothing/);
    await refusal(Buffer.alloc(0)).toThrow(`${path} is not a readable safetensors file: it has 0 bytes.`);
    await refusal(Buffer.alloc(7)).toThrow("it has 7 bytes");
    await refusal(file({ a: entry(0, 4) }, 4).subarray(0, 20)).toThrow("the file at 20");
  });

  it("cannot make the reader take memory for a header that is not there or absurd", async () => {
    const claims = (length: bigint) => {
      const bytes = Buffer.alloc(64);
      bytes.writeBigUInt64LE(length);
      return bytes;
    };
    await refusal(claims(2n ** 64n - 1n)).toThrow("its header claims 18446744073709551615 bytes, more than 100000000");
    await refusal(claims(100_000_001n)).toThrow("more than 100000000");
    await refusal(claims(100_000_000n)).toThrow("its header ends at byte 100000008, the file at 64");
  });

  it("is refused when its header is no JSON object of tensors", async () => {
    for (const header of ["", "{", "[]", "null", '"a"', '{"__metadata__":{"a":1}}']) {
      await refusal(rawSafetensors(header)).toThrow("its header is no JSON object of tensors");
    }
    await refusal(Buffer.concat([rawSafetensors("{").subarray(0, 8), Buffer.of(0xff)])).toThrow("no JSON object");
  });

  it("is refused with the tensor's name when an entry is not what the format says", async () => {
    const good = entry(0, 4);
    for (const bad of [
      null,
      7,
      {},
      { ...good, shape: [-1] },
      { ...good, shape: [0.5] },
      { ...good, shape: "1" },
      { ...good, data_offsets: [0] },
      { ...good, data_offsets: [0, 4, 8] },
      { ...good, data_offsets: [0, 1e300] },
      { ...good, extra: 1 },
    ]) {
      await refusal(file({ weird: bad }, 4)).toThrow(`${path}: tensor weird has a header entry that is not`);
    }
  });

  it("is refused when a tensor lies outside the data, backwards, on another, or leaves a hole", async () => {
    await refusal(file({ a: entry(0, 8) }, 4)).toThrow(`${path}: tensor a lies at bytes 0 to 8 of 4`);
    await refusal(file({ a: entry(4, 0, [1]) }, 4)).toThrow("tensor a lies at bytes 4 to 0");
    await refusal(file({ a: entry(0, 8), b: entry(4, 12) }, 12)).toThrow("tensor b overlaps another tensor");
    await refusal(file({ a: entry(0, 4), b: entry(0, 4) }, 4)).toThrow("tensor b overlaps another tensor");
    await refusal(file({ a: entry(4, 8) }, 8)).toThrow("tensor a starts at byte 4, where bytes from 0 on are nobody's");
    await refusal(file({ a: entry(0, 4) }, 8)).toThrow(`${path} has 4 bytes after its last tensor`);
  });

  it("is refused when it lists a name twice", async () => {
    const [first, second] = [JSON.stringify(entry(0, 4)), JSON.stringify(entry(4, 8))];
    await refusal(rawSafetensors(`{"a":${first},"a":${second}}`, new Uint8Array(8))).toThrow("are nobody's");
  });

  it("is refused when a tensor's bytes are not those of its shape, however large the shape claims to be", async () => {
    await refusal(file({ a: entry(0, 8, [3]) }, 8)).toThrow("tensor a has 8 bytes, but F32 of shape [3] has 12");
    await refusal(file({ a: entry(0, 8, [2 ** 52, 2 ** 52]) }, 8)).toThrow("tensor a has 8 bytes");
    const huge = Array.from({ length: 40 }, () => 2 ** 52);
    await refusal(file({ a: entry(0, 0, [...huge, 0]) }, 0)).toThrow("tensor a has 0 bytes");
    await refusal(file({ a: { dtype: "F16", shape: [2], data_offsets: [0, 8] } }, 8)).toThrow("F16 of shape [2] has 4");
  });
});
