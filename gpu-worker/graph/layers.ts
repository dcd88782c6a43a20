import type { BankBuilder } from "./adapter-bank.ts";
import { float, type GraphBuilder, int } from "./builder.ts";
import type { DecoderConfig } from "./decoder.ts";
import type { Value } from "./graph.ts";
import type { KvType, WeightLayout } from "./precision.ts";
import { quantiseBlocks, quantiseChannels } from "./quantise.ts";
import { transpose } from "./rotation.ts";

export const MICROSOFT = "com.microsoft" as const;

/** Reads one weight by its Hugging Face name, as float32 in row-major order. */
export type WeightSource = (name: string) => Promise<Float32Array>;

/** What every layer is built with. */
export type Build = {
  builder: GraphBuilder;
  config: DecoderConfig;
  source: WeightSource;
  layout: WeightLayout;
  /** What attention computes in; everything else is float32. */
  kvType: KvType;
  /** Adds what the adapters of the rows add; left out of a graph that serves none. */
  bank?: BankBuilder | undefined;
};

type MatrixShape = { inputs: number; outputs: number };

/** Where a matrix' input comes from: a norm (see {@link residualNorm}), or the inside of a layer. */
type Input = "normed" | "inner";

/**
 * Values that share one scale in the `int8-blocks` layout, GGUF's own block. 64 decodes a tenth faster but costs SmolLM2-135M 1.2 % of
 * perplexity, where 32 costs 0.7 % (test/fixtures/perplexity.txt, against float32).
 */
const BLOCK_SIZE = 32;

/**
 * Blocks of matrices inside a layer of the `int8-channels` layout: fewer scales, and still one for each outlier's neighbourhood. Blocks of
 * 128 are faster still, but there onnxruntime 1.30 computes a row now and then differently in a batch than alone.
 */
const INNER_BLOCK_SIZES = [64, 32];

/**
 * Normalised and rotated activations are close to a standard normal distribution, so one range serves all tokens and layers: beyond
 * ±3.7 they are cut off. A wider range rounds all of them more coarsely, a narrower one cuts off more; test/worker/reference.test.ts
 * holds what both cost together to 1 % of perplexity.
 */
const ACTIVATION_RANGE = 3.7;
const ACTIVATION_SCALE = ACTIVATION_RANGE / 127;
/** uint8 code of activation 0. */
const ACTIVATION_ZERO = 128;

function blockSizeOf({ layout }: Build, { inputs }: MatrixShape): number | null {
  if (layout === "fp32") return null;
  const sizes = layout === "int8-channels" ? INNER_BLOCK_SIZES : [BLOCK_SIZE];
  return sizes.find((size) => inputs % size === 0) ?? null;
}

/**
 * y = x · Wᵀ + b where W stacks the rows of several projections, [outputs, inputs], and b their biases: one multiplication reads x
 * once for all of them.
 */
export function linear(
  build: Build,
  name: string,
  from: Input,
  input: Value,
  shape: MatrixShape,
  projections: string[],
  hasBias = false,
): Value {
  const { builder, source } = build;
  const stacked = async (part: string) =>
    concatenate(await Promise.all(projections.map((projection) => source(`${projection}.${part}`))));
  const load = () => stacked("weight");
  const bias = hasBias ? builder.weight(`${name}.bias`, "float32", [shape.outputs], () => stacked("bias")) : null;
  if (build.layout === "int8-channels" && from === "normed") {
    return int8ChannelMatMul(build, name, input, shape, load, bias);
  }
  const blockSize = blockSizeOf(build, shape);
  if (blockSize !== null) {
    return int8BlockMatMul(build, name, input, shape, int8Blocks(build, name, shape, blockSize, load), bias);
  }
  const weight = builder.weight(`${name}.weight`, "float32", [shape.inputs, shape.outputs], async () =>
    transpose(await load(), shape.outputs, shape.inputs),
  );
  const product = builder.node("MatMul", name, [input, weight]);
  return bias === null ? product : builder.node("Add", `${name}.biased`, [product, bias]);
}

/** What adapters add to projections that read `input`: nothing, where the graph serves none. */
function adapterDeltas({ bank }: Build, module: string, input: Value): Value[] | null {
  return bank?.deltas(module, input) ?? null;
}

/**
 * A stack of projections with what the rows' adapters add to each.
 *
 * @param input what the projections read, as float32
 */
export function adapted(build: Build, name: string, product: Value, input: Value, projections: string[]): Value {
  const { builder } = build;
  const [first, ...more] = adapterDeltas(build, projections[0] ?? "", input) ?? [];
  if (first === undefined) return product;
  const axis = { attributes: { axis: int(-1) } };
  const delta = more.length === 0 ? first : builder.node("Concat", `${name}.deltas`, [first, ...more], axis);
  return builder.node("Add", `${name}.adapted`, [product, delta]);
}

/**
 * RMSNorm(residual + delta), as `linear` takes it from a norm; the same as float32 (`exact`); and the sum itself for the next residual
 * connection.
 */
export function residualNorm(
  build: Build,
  name: string,
  residual: Value,
  delta: Value | null,
): { normed: Value; exact: Value; sum: Value } {
  const { builder, config, source } = build;
  const gamma = builder.weight(`${name}.weight`, "float32", [config.hidden], () => source(`${name}.weight`));
  const attributes = { epsilon: float(config.normEpsilon) };
  if (delta === null) {
    const normed = builder.node("SimplifiedLayerNormalization", name, [residual, gamma], { attributes });
    return { normed: activationCodes(build, name, normed), exact: normed, sum: residual };
  }
  const outputs = ["normed", "", "", "sum"] as const;
  const [normed, , , sum] = builder.nodes("SkipSimplifiedLayerNormalization", name, [residual, delta, gamma], outputs, {
    domain: MICROSOFT,
    attributes,
  });
  return { normed: activationCodes(build, name, normed), exact: normed, sum };
}

/** Quantises normalised activations where the matrices that read them want codes. */
function activationCodes({ builder, layout }: Build, name: string, normed: Value): Value {
  if (layout !== "int8-channels") return normed;
  return builder.node("QuantizeLinear", `${name}.codes`, [normed, ...activationScale(builder)]);
}

const activationScale = (builder: GraphBuilder): [scale: Value, zero: Value] => [
  builder.shared("activation.scale", "float32", [], Float32Array.of(ACTIVATION_SCALE)),
  builder.shared("activation.zero", "uint8", [], Uint8Array.of(ACTIVATION_ZERO)),
];

/** down(SiLU(gate(x)) · up(x)). @param exact the input as float32, for adapters */
export function gatedMlp(build: Build, name: string, input: Value, exact: Value = input): Value {
  const { builder, config } = build;
  const { hidden, intermediate } = config;
  const deltas = adapterDeltas(build, `${name}.gate_proj`, exact);
  const project = (projection: "gate" | "up") => {
    const shape = { inputs: hidden, outputs: intermediate };
    const product = linear(build, `${name}.${projection}`, "normed", input, shape, [`${name}.${projection}_proj`]);
    const delta = deltas?.[projection === "gate" ? 0 : 1];
    return delta === undefined ? product : builder.node("Add", `${name}.${projection}.adapted`, [product, delta]);
  };
  // QuickGelu with α = 1 is SiLU: one node where Sigmoid and Mul would be two.
  const activated = builder.node("QuickGelu", `${name}.silu`, [project("gate")], {
    domain: MICROSOFT,
    attributes: { alpha: float(1) },
  });
  const gated = builder.node("Mul", `${name}.gated`, [activated, project("up")]);
  const shape = { inputs: intermediate, outputs: hidden };
  const projections = [`${name}.down_proj`];
  const down = linear(build, `${name}.down`, "inner", gated, shape, projections);
  return adapted(build, `${name}.down`, down, gated, projections);
}

/** The embedding look-up and the output head, which share one matrix where the model ties them. */
export function embedding(build: Build, ids: Value): { hidden: Value; head: (normed: Value) => Value } {
  const { builder, config, source, layout } = build;
  const shape = { inputs: config.hidden, outputs: config.vocab };
  const name = "model.embed_tokens.weight";
  const untiedHead = (normed: Value) => linear(build, "lm_head", "normed", normed, shape, ["lm_head"]);
  if (layout === "fp32" || config.hidden % BLOCK_SIZE !== 0) {
    const table = builder.weight(name, "float32", [config.vocab, config.hidden], () => source(name));
    const tiedHead = (normed: Value) =>
      builder.node("FusedMatMul", "lm_head", [normed, table], { domain: MICROSOFT, attributes: { transB: int(1) } });
    const hidden = builder.node("Gather", "embed_tokens", [table, ids]);
    return { hidden, head: config.tiedEmbeddings ? tiedHead : untiedHead };
  }
  const table = int8Blocks(build, "embed_tokens", shape, BLOCK_SIZE, () => source(name));
  const rows = builder.integers("embed_tokens.shape", [config.vocab, config.hidden]);
  const codes = builder.node("Reshape", "embed_tokens.rows", [table.codes, rows]);
  const hidden = builder.node("GatherBlockQuantized", "embed_tokens", [codes, ids, table.scales], {
    domain: MICROSOFT,
    attributes: { bits: int(8), block_size: int(BLOCK_SIZE), gather_axis: int(0), quantize_axis: int(1) },
  });
  const tiedHead = (normed: Value) => int8BlockMatMul(build, "lm_head", normed, shape, table, null);
  return { hidden, head: config.tiedEmbeddings ? tiedHead : untiedHead };
}

/** x · Wᵀ with x as codes of the fixed activation scale: a sum of integers, then one factor an output. */
function int8ChannelMatMul(
  { builder }: Build,
  name: string,
  codes: Value,
  { inputs, outputs }: MatrixShape,
  load: () => Promise<Float32Array>,
  bias: Value | null,
): Value {
  const quantised = once(async () => quantiseChannels(await load(), inputs));
  const weight = builder.weight(`${name}.codes`, "int8", [inputs, outputs], async () =>
    transpose((await quantised()).codes, outputs, inputs),
  );
  const scales = builder.weight(`${name}.scales`, "float32", [outputs], async () => (await quantised()).scales);
  const [scale, zero] = activationScale(builder);
  // The weights' zero point, which lies between the activations' and the bias, is 0 where it is left out.
  const optional = bias === null ? [] : [{ name: "" }, bias];
  return builder.node("MatMulIntegerToFloat", name, [codes, weight, scale, scales, zero, ...optional], {
    domain: MICROSOFT,
  });
}

type Int8Weight = { codes: Value; scales: Value; blockSize: number };

/** The constants of one quantised matrix, as MatMulNBits wants them: codes [outputs, blocks, block size], scales [outputs, blocks]. */
function int8Blocks(
  { builder }: Build,
  name: string,
  { inputs, outputs }: MatrixShape,
  blockSize: number,
  load: () => Promise<Float32Array>,
): Int8Weight {
  const blocks = inputs / blockSize;
  const quantised = once(async () => quantiseBlocks(await load(), blockSize));
  return {
    codes: builder.weight(
      `${name}.codes`,
      "uint8",
      [outputs, blocks, blockSize],
      async () => (await quantised()).codes,
    ),
    scales: builder.weight(`${name}.scales`, "float32", [outputs, blocks], async () => (await quantised()).scales),
    blockSize,
  };
}

function int8BlockMatMul(
  { builder }: Build,
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
      block_size: int(weight.blockSize),
      // 4 = int8 activations; every other level falls back to a CPU kernel 10–20 times slower.
      accuracy_level: int(4),
    },
  });
}

/** Codes and scales come from one quantisation, which is forgotten once both were taken. */
function once<T>(compute: () => Promise<T>): () => Promise<T> {
  let pending: Promise<T> | null = null;
  return () => {
    const second = pending;
    const result = second ?? compute();
    pending = second === null ? result : null;
    return result;
  };
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
