import { GraphBuilder } from "../builder.ts";
import { differentiate } from "../gradient/gradient.ts";
import type { Graph, GraphNode, Value } from "../graph.ts";
import { gradientName, type Parameter } from "./lora.ts";

/** Whether a graph computes gradients too, which takes twice as long again. */
export type Purpose = "train" | "evaluate";

/**
 * Differentiates a sum of losses, and makes each parameter's gradient an output.
 *
 * @param standIns nodes to differentiate instead of those that make the same values
 */
export async function declareGradients(
  graph: Graph,
  losses: Value[],
  parameters: Parameter[],
  standIns: readonly GraphNode[] = [],
): Promise<void> {
  const builder = new GraphBuilder(graph);
  const weighted = losses.map((loss) => ({ loss, weight: 1 }));
  const gradients = await differentiate(graph, weighted, parameters, standIns);
  for (const [index, { name, shape }] of parameters.entries()) {
    const gradient = gradients[index];
    if (gradient !== undefined) builder.output(gradient, gradientName(name), "float32", shape);
  }
}
