import { float, type GraphBuilder, int } from "./builder.ts";
import type { DecoderConfig } from "./decoder.ts";
import type { Value } from "./graph.ts";
import { BLOCK_SIZE, type Int8Blocks, quantiseInt8 } from "./quantise.ts";

export const MICROSOFT = "com.microsoft" as const;

/** Reads one weight by its Hugging Face name, as float32 in row-major order. */
export type WeightSource = (name: string) => Promise<Float32Array>;

/**
 * How matrices are held: int8 in blocks of 32 (MatMulNBits), or float32 as the reference. A matrix whose rows are no whole number of
 * blocks stays float32 in either case.
 */
export type Precision = "int8" | "fp32";

/** What every layer is built with. */
export type Build = { builder: GraphBuilder; config: DecoderConfig; source: WeightSource; precision: Precision };

type MatrixShape = { inputs: number; outputs: number };

const isQuantised = ({ precision }: Build, { inputs }: MatrixShape): boolean =>
  precision === "int8" && inputs % BLOCK_SIZE === 0;

/**
 * y = x · Wᵀ + b where W stacks the rows of several projections, [outputs, inputs], and b their biases: one multiplication reads x
 * once for all of them.
 */
export function linear(
  build: Build,
  name: string,
  input: Value,
  shape: MatrixShape,
  projections: string[],
  hasBias = false,
): Value {
  const { builder, source } = build;
  const stacked = async (part: string) =>
    concatenate(await Promise.all(projections.map((projection) => source(`${projection}.${part}`))));
  const bias = hasBias ? builder.weight(`${name}.bias`, "float32", [shape.outputs], () => stacked("bias")) : null;
  if (isQuantised(build, shape)) {
    const weight = int8Weight(builder, `${name}.weight`, shape, () => stacked("weight"));
    return int8MatMul(builder, name, input, shape, weight, bias);
  }
  const weight = builder.weight(`${name}.weight`, "float32", [shape.inputs, shape.outputs], async () =>
    transpose(await stacked("weight"), shape.outputs, shape.inputs),
  );
  const product = builder.node("MatMul", name, [input, weight]);
  return bias === null ? product : builder.node("Add", `${name}.biased`, [product, bias]);
}

/** RMSNorm(residual + delta), and the sum itself for the next residual connection. */
export function residualNorm(
  { builder, config, source }: Build,
  name: string,
  residual: Value,
  delta: Value | null,
): { normed: Value; sum: Value } {
  const gamma = builder.weight(`${name}.weight`, "float32", [config.hidden], () => source(`${name}.weight`));
  const attributes = { epsilon: float(config.normEpsilon) };
  if (delta === null) {
    const normed = builder.node("SimplifiedLayerNormalization", name, [residual, gamma], { attributes });
    return { normed, sum: residual };
  }
  const outputs = ["normed", "", "", "sum"] as const;
  const [normed, , , sum] = builder.nodes("SkipSimplifiedLayerNormalization", name, [residual, delta, gamma], outputs, {
    domain: MICROSOFT,
    attributes,
  });
  return { normed, sum };
}

/** down(SiLU(gate(x)) · up(x)), gate and up in one multiplication. */
export function gatedMlp(build: Build, name: string, input: Value): Value {
  const { builder, config } = build;
  const { hidden, intermediate } = config;
  const gateUp = linear(build, `${name}.gate_up`, input, { inputs: hidden, outputs: 2 * intermediate }, [
    `${name}.gate_proj`,
    `${name}.up_proj`,
  ]);
  const [gate, up] = builder.nodes("Split", `${name}.split`, [gateUp], ["gate", "up"], {
    attributes: { axis: int(-1), num_outputs: int(2) },
  });
  // QuickGelu with α = 1 is SiLU: one node where Sigmoid and Mul would be two.
  const activated = builder.node("QuickGelu", `${name}.silu`, [gate], {
    domain: MICROSOFT,
    attributes: { alpha: float(1) },
  });
  const gated = builder.node("Mul", `${name}.gated`, [activated, up]);
  return linear(build, `${name}.down`, gated, { inputs: intermediate, outputs: hidden }, [`${name}.down_proj`]);
}

/** The embedding look-up and the output head, which share one matrix where the model ties them. */
export function embedding(build: Build, ids: Value): { hidden: Value; head: (normed: Value) => Value } {
  const { builder, config, source } = build;
  const shape = { inputs: config.hidden, outputs: config.vocab };
  const name = "model.embed_tokens.weight";
  const untiedHead = (normed: Value) => linear(build, "lm_head", normed, shape, ["lm_head"]);
  if (!isQuantised(build, shape)) {
    const table = builder.weight(name, "float32", [config.vocab, config.hidden], () => source(name));
    const tiedHead = (normed: Value) =>
      builder.node("FusedMatMul", "lm_head", [normed, table], { domain: MICROSOFT, attributes: { transB: int(1) } });
    const hidden = builder.node("Gather", "embed_tokens", [table, ids]);
    return { hidden, head: config.tiedEmbeddings ? tiedHead : untiedHead };
  }
  const table = int8Weight(builder, name, shape, () => source(name));
  const rows = builder.integers("embed_tokens.shape", [config.vocab, config.hidden]);
  const codes = builder.node("Reshape", "embed_tokens.codes", [table.codes, rows]);
  const hidden = builder.node("GatherBlockQuantized", "embed_tokens", [codes, ids, table.scales], {
    domain: MICROSOFT,
    attributes: { bits: int(8), block_size: int(BLOCK_SIZE), gather_axis: int(0), quantize_axis: int(1) },
  });
  const tiedHead = (normed: Value) => int8MatMul(builder, "lm_head", normed, shape, table, null);
  return { hidden, head: config.tiedEmbeddings ? tiedHead : untiedHead };
}

type Int8Weight = { codes: Value; scales: Value };

/** The constants of one quantised matrix, as MatMulNBits wants them: codes [outputs, blocks, 32], scales [outputs, blocks]. */
function int8Weight(
  builder: GraphBuilder,
  name: string,
  { inputs, outputs }: MatrixShape,
  load: () => Promise<Float32Array>,
): Int8Weight {
  const blocks = inputs / BLOCK_SIZE;
  const parts = quantiseOnce(load);
  return {
    codes: builder.weight(`${name}.codes`, "uint8", [outputs, blocks, BLOCK_SIZE], parts.codes),
    scales: builder.weight(`${name}.scales`, "float32", [outputs, blocks], parts.scales),
  };
}

function int8MatMul(
  builder: GraphBuilder,
  name: string,
  input: Value,
  shape: MatrixShape,
  weight: Int8Weight,
  bias: Value | null,
): Value {
  // Zero points and group indexes, which lie between scales and bias, are left out.
  const optional = bias === null ? [] : [{ name: "" }, { name: "" }, bias];
  return builder.node("MatMulNBits", name, [input, weight.codes, weight.scales, ...optional], {
    domain: MICROSOFT,
    attributes: {
      K: int(shape.inputs),
      N: int(shape.outputs),
      bits: int(8),
      block_size: int(BLOCK_SIZE),
      // 4 = int8 activations; every other level falls back to a CPU kernel 10–20 times slower.
      accuracy_level: int(4),
    },
  });
}

/** Codes and scales come from one quantisation, which is forgotten once both were taken. */
function quantiseOnce(load: () => Promise<Float32Array>) {
  let pending: Promise<Int8Blocks> | null = null;
  const take =
    <Key extends keyof Int8Blocks>(key: Key) =>
    async (): Promise<Int8Blocks[Key]> => {
      const second = pending;
      const blocks = second ?? load().then(quantiseInt8);
      pending = second === null ? blocks : null;
      return (await blocks)[key];
    };
  return { codes: take("codes"), scales: take("scales") };
}

function concatenate(parts: Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

function transpose(weight: Float32Array, rows: number, columns: number): Float32Array {
  const transposed = new Float32Array(weight.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      transposed[column * rows + row] = weight[row * columns + column] ?? 0;
    }
  }
  return transposed;
}
