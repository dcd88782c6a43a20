import { z } from "zod";

/** Servers whose fields are known. Their `GET /v1/models` says which one it is in `owned_by`. */
const KINDS = ["vllm", "sglang", "tensorrt_llm", "llamacpp"] as const;
export type ServerKind = (typeof KINDS)[number];

/** What a server calls the model that requests are for, a LoRA perhaps. */
export type RemoteModel = {
  name: string;
  server: ServerKind;
  /** Tokens; `null` where the server does not say. */
  contextLength: number | null;
};

const listSchema = z.object({
  data: z.array(
    z.object({
      id: z.string(),
      owned_by: z.string().nullish(),
      /** Of vLLM and SGLang. */
      max_model_len: z.int().positive().nullish(),
    }),
  ),
});

/** Something that only a change of configuration can repair. */
export class RemoteSetupError extends Error {
  override readonly name = "RemoteSetupError";
}

/**
 * Picks the model that requests are for from a server's `GET /v1/models`: the one wished for, which need not be listed (SGLang does not
 * list `base:adapter`), else the only one. A server of no known kind is spoken to in vLLM's words, the most widely copied.
 *
 * @throws RemoteSetupError where there is a choice and nobody made it
 */
export function chooseModel(list: unknown, wished: string | undefined): RemoteModel {
  const parsed = listSchema.safeParse(list);
  if (!parsed.success) throw new RemoteSetupError("its GET /v1/models is not OpenAI's");
  const models = parsed.data.data;
  const chosen = wished === undefined ? models[0] : models.find(({ id }) => id === wished);
  if (wished === undefined && models.length !== 1) {
    const names = models.map(({ id }) => id).join(", ");
    throw new RemoteSetupError(`it serves ${models.length} models (${names}). Choose one with --remote-model`);
  }
  const owner = (chosen ?? models[0])?.owned_by;
  return {
    name: wished ?? chosen?.id ?? "",
    server: KINDS.find((kind) => kind === owner) ?? "vllm",
    contextLength: chosen?.max_model_len ?? null,
  };
}
