/** transformers.js on onnxruntime-node, on a graph of our own in its layout (genai-model.ts). */
import { basename, dirname } from "node:path";
import "../../../../gpu-worker/runtime/without-telemetry.ts";
import { decodeRate } from "../decode-window.ts";
import { installedVersion } from "../installed-version.ts";
import { serveCells } from "./serve-cells.ts";

/** As much of @huggingface/transformers as is used here: the package is installed only where benchmarks run. */
type Transformers = {
  env: { allowRemoteModels: boolean; localModelPath: string };
  AutoModelForCausalLM: { from_pretrained(name: string, options: object): Promise<Model> };
  Tensor: new (type: "int64", data: BigInt64Array, shape: number[]) => object;
};
type Model = { generate(options: object): Promise<object> };

// Not a literal, so that the type checker does not look for the package.
const PACKAGE: string = "@huggingface/transformers";

await serveCells(async ({ model: directory, threads }) => {
  const { env, AutoModelForCausalLM, Tensor }: Transformers = await import(PACKAGE);
  env.allowRemoteModels = false;
  env.localModelPath = dirname(directory);
  const model = await AutoModelForCausalLM.from_pretrained(basename(directory), {
    dtype: "q8",
    device: "cpu",
    session_options: { intraOpNumThreads: threads, interOpNumThreads: 1 },
  });

  /** When the tokens of all rows came; the rows of a batch go in step. */
  async function generate(prompts: number[][], tokens: number): Promise<number[]> {
    const shape = [prompts.length, prompts[0]?.length ?? 0];
    const ids = new Tensor("int64", BigInt64Array.from(prompts.flat(), BigInt), shape);
    const mask = new Tensor("int64", new BigInt64Array(prompts.flat().length).fill(1n), shape);
    const times: number[] = [];
    const streamer = { put: () => times.push(performance.now()), end: () => {} };
    await model.generate({
      input_ids: ids,
      attention_mask: mask,
      max_new_tokens: tokens,
      do_sample: false,
      streamer,
    });
    // The first call carries the prompts.
    const generated = times.slice(1);
    if (generated.length !== tokens) throw new Error(`asked for ${tokens} tokens, got ${generated.length}`);
    return generated;
  }

  return {
    version: installedVersion(PACKAGE, import.meta.url),
    detail: "onnxruntime-node, GroupQueryAttention, our int8 weights",
    async prefill(prompt) {
      const began = performance.now();
      const [first = Number.NaN] = await generate([prompt], 1);
      return (prompt.length / (first - began)) * 1000;
    },
    async decode(prompts, steps) {
      const times = await generate(prompts, steps + 1);
      return decodeRate(prompts.map(() => times));
    },
  };
});
