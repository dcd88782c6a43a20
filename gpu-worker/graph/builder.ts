import {
  type Attribute,
  DATA_TYPES,
  type Dimension,
  type ElementType,
  type Graph,
  type TensorData,
  type Value,
} from "./graph.ts";

type NodeOptions = {
  domain?: "" | "com.microsoft";
  attributes?: Record<string, Attribute>;
};

export const int = (value: number): Attribute => ({ kind: "int", value });
export const float = (value: number): Attribute => ({ kind: "float", value });
export const string = (value: string): Attribute => ({ kind: "string", value });
export const ints = (...value: number[]): Attribute => ({ kind: "ints", value });

/** Collects nodes in execution order and hands back their outputs as values, so a model reads as an expression. */
export class GraphBuilder {
  readonly #graph: Graph;

  /** @param graph the name of a new graph, or one to add to. */
  constructor(graph: string | Graph) {
    this.#graph =
      typeof graph === "string" ? { name: graph, inputs: [], outputs: [], initializers: [], nodes: [] } : graph;
  }

  input(name: string, type: ElementType, shape: Dimension[]): Value {
    this.#graph.inputs.push({ name, type, shape });
    return { name };
  }

  /** A constant whose data is made when the graph is written. */
  weight(name: string, type: ElementType, shape: number[], load: () => Promise<TensorData>): Value {
    this.#graph.initializers.push({ name, type, shape, load });
    return { name };
  }

  /** A small constant that is at hand. */
  constant(name: string, type: ElementType, shape: number[], data: TensorData): Value {
    return this.weight(name, type, shape, async () => data);
  }

  /** As {@link constant}, once for all who ask for it by that name. */
  shared(name: string, type: ElementType, shape: number[], data: TensorData): Value {
    const isKnown = this.#graph.initializers.some((initializer) => initializer.name === name);
    return isKnown ? { name } : this.constant(name, type, shape, data);
  }

  /** As {@link integers}, once for all who ask for it by that name. */
  sharedIntegers(name: string, values: number[]): Value {
    return this.shared(name, "int64", [values.length], BigInt64Array.from(values, BigInt));
  }

  /** A one-dimensional int64 constant: a shape, or sizes. */
  integers(name: string, values: number[]): Value {
    return this.constant(name, "int64", [values.length], BigInt64Array.from(values, BigInt));
  }

  /** Appends a node with one output, named after the node. */
  node(operator: string, name: string, inputs: Value[], options: NodeOptions = {}): Value {
    this.#push(operator, name, inputs, [name], options);
    return { name };
  }

  cast(name: string, value: Value, type: ElementType): Value {
    return this.node("Cast", name, [value], { attributes: { to: int(DATA_TYPES[type]) } });
  }

  /** Appends a node with several outputs. An empty name skips an optional output. */
  nodes<const Names extends readonly string[]>(
    operator: string,
    name: string,
    inputs: Value[],
    outputs: Names,
    options: NodeOptions = {},
  ): { [Index in keyof Names]: Value } {
    const names = outputs.map((output) => (output === "" ? "" : `${name}.${output}`));
    this.#push(operator, name, inputs, names, options);
    return names.map((name) => ({ name })) as { [Index in keyof Names]: Value };
  }

  /** Declares a value a result of the graph, under its own public name. */
  output(value: Value, name: string, type: ElementType, shape: Dimension[]): void {
    const producer = this.#graph.nodes.find((node) => node.outputs.includes(value.name));
    if (producer === undefined) throw new Error(`No node produces ${value.name}`);
    producer.outputs = producer.outputs.map((output) => (output === value.name ? name : output));
    for (const node of this.#graph.nodes) {
      node.inputs = node.inputs.map((input) => (input === value.name ? name : input));
    }
    this.#graph.outputs.push({ name, type, shape });
  }

  finish(): Graph {
    return this.#graph;
  }

  #push(operator: string, name: string, inputs: Value[], outputs: string[], options: NodeOptions): void {
    this.#graph.nodes.push({
      operator,
      domain: options.domain ?? "",
      name,
      inputs: inputs.map((input) => input.name),
      outputs,
      attributes: options.attributes ?? {},
    });
  }
}
