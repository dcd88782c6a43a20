/** Perplexity of our graph. The engine draws tokens and shows no logits of a prompt, so this runs the decoder session itself. */
import { readDecoderConfig } from "../../../../gpu-worker/model/config.ts";
import { openGguf } from "../../../../gpu-worker/model/gguf.ts";
import { ensureDecoder } from "../../../../gpu-worker/runtime/decoder-files.ts";
import { DecoderSession } from "../../../../gpu-worker/runtime/decoder-session.ts";
import { attuneVersion } from "../installed-version.ts";
import { serveCells } from "./serve-cells.ts";

const [, , , precision, cache] = process.argv;
if (precision !== "int8" && precision !== "fp32") throw new Error(`${precision} is no precision of ours.`);

/** −log of the probability that softmax gives `token`. */
function loss(logits: Float32Array, token: number): number {
  let peak = Number.NEGATIVE_INFINITY;
  for (const logit of logits) peak = Math.max(peak, logit);
  let total = 0;
  for (const logit of logits) total += Math.exp(logit - peak);
  return Math.log(total) + peak - (logits[token] ?? Number.NaN);
}

await serveCells(async ({ model, threads }) => {
  const gguf = await openGguf(model);
  const config = await readDecoderConfig(gguf);
  await gguf.close();
  const directory = await ensureDecoder(model, cache === undefined ? { precision } : { precision, cache });
  const session = new DecoderSession(directory, config, threads);
  const noSpeed = () => Promise.reject(new Error("this process only measures perplexity"));
  return {
    version: attuneVersion(),
    detail: precision,
    prefill: noSpeed,
    decode: noSpeed,
    async perplexity(tokens) {
      const input = tokens.slice(0, -1);
      const cache = session.allocate(1, input.length);
      const logitRows = input.map((_, row) => row);
      const logits = session.run({ cache, firstSlot: 0, tokens: [input], computed: [0], logitRows });
      const losses = input.map((_, row) =>
        loss(logits.subarray(row * config.vocab, (row + 1) * config.vocab), tokens[row + 1] ?? 0),
      );
      return Math.exp(losses.reduce((sum, value) => sum + value, 0) / losses.length);
    },
  };
});
