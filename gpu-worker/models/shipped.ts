import { fileURLToPath } from "node:url";

/** The LoRA that ships: trained on attributes, for SmolLM2-135M-Instruct. Its directory holds its model card and how it was trained. */
export const SHIPPED_ADAPTER = fileURLToPath(new URL("./smollm2-135m-steer", import.meta.url));

/** Names no adapter, where one would be taken by itself. */
export const NO_ADAPTER = "none";

type Named = { model?: string | undefined; adapter?: string | undefined };

/**
 * The adapter to serve, as the user named it: `none` is none. Where neither a model nor an adapter is named, the model is the one that the
 * shipped adapter belongs to, and so that is taken.
 */
export function chosenAdapter({ model, adapter }: Named): string | undefined {
  if (adapter === NO_ADAPTER) return undefined;
  if (adapter !== undefined && adapter !== "") return adapter;
  const own = model ?? process.env.ATTUNE_MODEL ?? "";
  return own === "" ? SHIPPED_ADAPTER : undefined;
}
