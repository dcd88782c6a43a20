/** Our engine, as the worker runs it: the decoder of `ensureDecoder` behind an EngineClient. */
import { EngineClient } from "../../../../gpu-worker/engine/client.ts";
import { readDecoderConfig } from "../../../../gpu-worker/model/config.ts";
import { openGguf } from "../../../../gpu-worker/model/gguf.ts";
import { createTokenizer } from "../../../../gpu-worker/model/tokenizer.ts";
import { ensureDecoder } from "../../../../gpu-worker/runtime/decoder-files.ts";
import { samplingSchema } from "../../../../schema/api/chat.ts";
import { decodeRate } from "../decode-window.ts";
import { attuneVersion, installedVersion } from "../installed-version.ts";
import { serveCells } from "./serve-cells.ts";

await serveCells(async (settings) => {
  const model = await ensureDecoder(settings.model);
  const gguf = await openGguf(settings.model);
  const config = await readDecoderConfig(gguf);
  const tokens = createTokenizer(gguf.metadata).tokenByteTable();
  await gguf.close();
  // Room for every prompt of a cell in the same step, so that its rows begin to decode together.
  const stepTokens = settings.rows * settings.rowTokens;
  const engine = new EngineClient(
    {
      model,
      config,
      tokens,
      // Nothing ends an answer early.
      eosIds: [],
      threads: settings.threads,
      options: {
        mixedTokens: stepTokens,
        prefillTokens: stepTokens,
        rows: settings.rows,
        kvBytes: 4 * 2 ** 30,
        prefixBytes: 0,
      },
    },
    { queuedRequests: settings.rows, queuedTokens: stepTokens },
  );
  await engine.ready;

  let count = 0;
  /** When each token of one greedy answer came, in milliseconds since the process began. */
  const generate = (prompt: number[], maxTokens: number): Promise<number[]> =>
    new Promise((resolve, reject) => {
      const times: number[] = [];
      const { max_tokens: _, ...sampling } = samplingSchema.parse({ temperature: 0 });
      engine.submit(
        { id: `bench-${count++}`, prompt, sampling, maxTokens },
        {
          onStarted: () => {},
          onText: () => times.push(performance.now()),
          onEnd: (ending) => {
            if (ending.kind === "finished" && times.length === maxTokens) resolve(times);
            else
              reject(new Error(`a row ended after ${times.length} of ${maxTokens} tokens: ${JSON.stringify(ending)}`));
          },
        },
      );
    });

  return {
    version: attuneVersion(),
    detail: `onnxruntime-node ${installedVersion("onnxruntime-node", import.meta.url)}, int8 weights and activations, float32 keys and values`,
    async prefill(prompt) {
      const began = performance.now();
      const [first = Number.NaN] = await generate(prompt, 1);
      return (prompt.length / (first - began)) * 1000;
    },
    decode: async (prompts, steps) =>
      decodeRate(await Promise.all(prompts.map((prompt) => generate(prompt, steps + 1)))),
  };
});
