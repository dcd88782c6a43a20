import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  type Attribute,
  byteLength,
  DATA_TYPES,
  type Graph,
  type GraphNode,
  type Initializer,
  type TensorData,
  type ValueInfo,
} from "./graph.ts";

/** Versions that onnxruntime 1.30 reads. */
const IR_VERSION = 10;
const OPSETS = { "": 21, "com.microsoft": 1 };

/** AttributeProto.AttributeType. */
const ATTRIBUTE_TYPES: Record<Attribute["kind"], number> = { float: 1, int: 2, string: 3, ints: 7 };
const EXTERNAL = 1;

/** Takes the bytes of one constant and says where in the external file they lie. */
export type WeightSink = (bytes: Uint8Array) => Promise<{ location: string; offset: number }>;

/** Constants up to this many bytes stay inside the graph file, where onnxruntime's shape inference can read them. */
const INLINE_BYTES = 1024;

function message(writer: BinaryWriter, field: number, write: () => void): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  write();
  writer.join();
}

function text(writer: BinaryWriter, field: number, value: string): void {
  writer.tag(field, WireType.LengthDelimited).string(value);
}

function integer(writer: BinaryWriter, field: number, value: number): void {
  writer.tag(field, WireType.Varint).int64(value);
}

function writeAttribute(writer: BinaryWriter, name: string, attribute: Attribute): void {
  text(writer, 1, name);
  if (attribute.kind === "float") writer.tag(2, WireType.Bit32).float(attribute.value);
  else if (attribute.kind === "int") integer(writer, 3, attribute.value);
  else if (attribute.kind === "string") text(writer, 4, attribute.value);
  else for (const value of attribute.value) integer(writer, 8, value);
  integer(writer, 20, ATTRIBUTE_TYPES[attribute.kind]);
}

function writeNode(writer: BinaryWriter, node: GraphNode): void {
  for (const input of node.inputs) text(writer, 1, input);
  for (const output of node.outputs) text(writer, 2, output);
  text(writer, 3, node.name);
  text(writer, 4, node.operator);
  for (const [name, attribute] of Object.entries(node.attributes)) {
    message(writer, 5, () => writeAttribute(writer, name, attribute));
  }
  if (node.domain !== "") text(writer, 7, node.domain);
}

function writeValueInfo(writer: BinaryWriter, { name, type, shape }: ValueInfo): void {
  text(writer, 1, name);
  message(writer, 2, () =>
    message(writer, 1, () => {
      integer(writer, 1, DATA_TYPES[type]);
      message(writer, 2, () => {
        for (const size of shape) {
          message(writer, 1, () => (typeof size === "number" ? integer(writer, 1, size) : text(writer, 2, size)));
        }
      });
    }),
  );
}

function bytesOf(data: TensorData): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

async function writeInitializer(
  writer: BinaryWriter,
  initializer: Initializer,
  sink: WeightSink | null,
): Promise<void> {
  const bytes = bytesOf(await initializer.load());
  const expected = byteLength(initializer);
  if (bytes.length !== expected) {
    throw new Error(`Weight ${initializer.name} has ${bytes.length} bytes where its shape needs ${expected}`);
  }
  const place = sink !== null && bytes.length > INLINE_BYTES ? await sink(bytes) : null;
  message(writer, 5, () => {
    for (const size of initializer.shape) integer(writer, 1, size);
    integer(writer, 2, DATA_TYPES[initializer.type]);
    text(writer, 8, initializer.name);
    if (place === null) {
      writer.tag(9, WireType.LengthDelimited).bytes(bytes);
      return;
    }
    const entries = { location: place.location, offset: String(place.offset), length: String(bytes.length) };
    for (const [key, value] of Object.entries(entries)) {
      message(writer, 13, () => {
        text(writer, 1, key);
        text(writer, 2, value);
      });
    }
    integer(writer, 14, EXTERNAL);
  });
}

/**
 * The graph as an ONNX ModelProto. Constants over 1 KiB go to `sink` one after another, or into the model where it is `null`.
 *
 * @param onProgress called with the share of constants written, 0–1.
 */
export async function serialiseGraph(
  graph: Graph,
  sink: WeightSink | null,
  onProgress: (fraction: number) => void = () => {},
): Promise<Uint8Array> {
  const writer = new BinaryWriter();
  integer(writer, 1, IR_VERSION);
  text(writer, 2, "attune");
  writer.tag(7, WireType.LengthDelimited).fork();
  for (const node of graph.nodes) message(writer, 1, () => writeNode(writer, node));
  text(writer, 2, graph.name);
  for (const [index, initializer] of graph.initializers.entries()) {
    await writeInitializer(writer, initializer, sink);
    onProgress((index + 1) / graph.initializers.length);
  }
  for (const input of graph.inputs) message(writer, 11, () => writeValueInfo(writer, input));
  for (const output of graph.outputs) message(writer, 12, () => writeValueInfo(writer, output));
  writer.join();
  for (const [domain, version] of Object.entries(OPSETS)) {
    message(writer, 8, () => {
      text(writer, 1, domain);
      integer(writer, 2, version);
    });
  }
  return writer.finish();
}
