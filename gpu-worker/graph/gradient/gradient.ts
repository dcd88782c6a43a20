import { GraphBuilder } from "../builder.ts";
import type { Graph, GraphNode, Value } from "../graph.ts";
import { Cotangents } from "./cotangents.ts";
import { ELEMENTWISE_RULES } from "./elementwise.ts";
import { Emitter } from "./emitter.ts";
import { inferFacts } from "./infer-shapes.ts";
import { INT8_RULES } from "./int8-product.ts";
import { MOVEMENT_RULES } from "./movement.ts";
import { NETWORK_RULES } from "./network.ts";
import { PRODUCT_RULES } from "./products.ts";
import { Pullback, type Rule } from "./pullback.ts";
import { REDUCTION_RULES } from "./reductions.ts";

const RULES: Partial<Record<string, Rule>> = {
  ...ELEMENTWISE_RULES,
  ...PRODUCT_RULES,
  ...REDUCTION_RULES,
  ...MOVEMENT_RULES,
  ...NETWORK_RULES,
  ...INT8_RULES,
};

/** A scalar of the graph, and how much of it is in the sum that is differentiated. */
export type WeightedLoss = { loss: Value; weight: number };

/**
 * Appends the backward pass to a graph: reverse-mode differentiation of Σ weight · loss. Only what lies between the losses and the values
 * asked for is differentiated, and what the forward pass has computed is read, not computed again.
 *
 * @param graph its nodes in execution order, its values under the names they are asked for by: outputs are declared afterwards
 * @param by inputs, constants or other values of the graph
 * @param standIns nodes whose rules hold instead of those of the nodes that make the same values, which may have none; never computed
 * @returns ∂(Σ weight · loss)/∂value of each value in `by`, shaped like it
 * @throws Error that names the node where an operator has no rule, or the value that no loss depends on
 */
export async function differentiate(
  graph: Graph,
  losses: readonly WeightedLoss[],
  by: readonly Value[],
  standIns: readonly GraphNode[] = [],
): Promise<Value[]> {
  const instead = new Map(standIns.map((node) => [node.outputs[0], node]));
  const forward = graph.nodes.map((node) => instead.get(node.outputs[0]) ?? node);
  const facts = await inferFacts({ ...graph, nodes: forward });
  const builder = new GraphBuilder(graph);
  const emitter = new Emitter(builder, "gradient");
  const cotangents = new Cotangents();
  const wanted = dependents(forward, by);

  for (const { loss, weight } of losses) {
    const rank = facts.shapes.get(loss.name)?.length ?? 0;
    if (rank > 0) throw new Error(`${loss.name} is no scalar, and only scalars are differentiated`);
    cotangents.add(loss, emitter.scalar(weight));
  }
  for (const node of forward.toReversed()) {
    const reachesLoss = node.outputs.some((name) => cotangents.has({ name }));
    if (!reachesLoss || !node.inputs.some((name) => wanted.has(name))) continue;
    const rule = RULES[node.operator];
    if (rule === undefined) throw new Error(`No rule differentiates ${node.operator} (${node.name})`);
    rule(new Pullback(builder, node, facts, cotangents, (name) => wanted.has(name)));
  }
  return by.map((value) => {
    if (!cotangents.has(value)) throw new Error(`The loss does not depend on ${value.name}`);
    return cotangents.total(value, emitter);
  });
}

/** The values in `by`, and all that are computed from them. */
function dependents(nodes: readonly GraphNode[], by: readonly Value[]): Set<string> {
  const names = new Set(by.map(({ name }) => name));
  for (const node of nodes) {
    if (!node.inputs.some((name) => names.has(name))) continue;
    for (const output of node.outputs) if (output !== "") names.add(output);
  }
  return names;
}
