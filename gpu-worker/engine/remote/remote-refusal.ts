import { z } from "zod";
import { AttuneError } from "../../../schema/wire/errors.ts";

type Refusal = { status: number; type: string | null; message: string };

const errorSchema = z.object({
  message: z.string(),
  type: z.string().nullish(),
  code: z.union([z.number(), z.string()]).nullish(),
});

/** OpenAI's form, and the one that vLLM, SGLang and TensorRT-LLM have without its outer object. */
const bodySchema = z.union([
  z.object({ error: errorSchema }).transform(({ error }) => error),
  errorSchema.extend({ object: z.literal("error") }),
]);

/** A server's error: an answer with its status, or in a stream an event in a chunk's place. */
export class RemoteRefusal extends Error {
  override readonly name = "RemoteRefusal";
  readonly status: number;
  readonly type: string | null;

  constructor({ status, type, message }: Refusal) {
    super(message);
    this.status = status;
    this.type = type;
  }

  /** What the client is told, where it can do something about it; else it hears that the generation failed. */
  toClient(): AttuneError | null {
    if (this.type === CONTEXT_TYPE)
      return new AttuneError("context_length_exceeded", this.message, { param: "messages" });
    if (this.status === 400 || this.status === 422) {
      return new AttuneError("invalid_request", `The inference server refuses the request: ${this.message}`);
    }
    if (this.status === 429) return new AttuneError("queue_full", BUSY, { cause: this });
    if (this.status === 503) return new AttuneError("worker_unavailable", BUSY, { cause: this });
    return null;
  }
}

const CONTEXT_TYPE = "exceed_context_size_error";
const BUSY = "The inference server is busy. Try again in a few seconds.";

/**
 * Reads an error body, or an error event.
 *
 * @param status of the response; an event has only its own `code`
 * @returns `null` where it is none
 */
export function readRefusal(body: unknown, status?: number): Refusal | null {
  const parsed = bodySchema.safeParse(body);
  if (!parsed.success) return null;
  const { message, type, code } = parsed.data;
  return { status: status ?? (Number(code) || 500), type: type ?? null, message };
}
