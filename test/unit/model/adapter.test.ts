import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Adapter, openAdapter } from "../../../gpu-worker/model/adapter.ts";
import { mergedWeights } from "../../../gpu-worker/model/merge.ts";
import type { SteeringProfile } from "../../../schema/attributes.ts";
import {
  mergedByHand,
  TINY_ADAPTER_CONFIG,
  type TinyAdapterParts,
  tinyUpdates,
  writeTinyAdapter,
} from "../../fixtures/tiny-adapter.ts";
import { TINY_CONFIG, tinyWeights } from "../../fixtures/tiny-llama.ts";
import { float32Tensor, safetensorsBytes } from "../../fixtures/tiny-safetensors.ts";

const PROFILE: SteeringProfile = { template: "chatml", attributes: [{ name: "verbosity", default: 2 }] };
const QUERY = "model.layers.0.self_attn.q_proj";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "attune-adapter-"));
});
afterEach(() => rm(directory, { recursive: true }));

async function withAdapter<T>(parts: TinyAdapterParts, use: (adapter: Adapter) => T | Promise<T>): Promise<T> {
  const adapter = await openAdapter(await writeTinyAdapter(directory, parts));
  try {
    return await use(adapter);
  } finally {
    await adapter.close();
  }
}

const refusal = (parts: TinyAdapterParts) => expect(withAdapter(parts, () => "opened")).rejects;
const refusedConfig = (config: object) => refusal({ config: { ...TINY_ADAPTER_CONFIG, ...config } });
const scales = (config: object) =>
  withAdapter({ config: { ...TINY_ADAPTER_CONFIG, ...config } }, ({ updates }) =>
    Object.fromEntries([...updates].map(([module, { scale }]) => [module, scale])),
  );

/** The adapter's directory with these tensors instead, each of 2 × 2 where no shape is given. */
async function withTensors(...tensors: (string | [string, number[]])[]): Promise<void> {
  const stored = tensors.map((tensor) => {
    const [name, shape] = typeof tensor === "string" ? [tensor, [5, 5]] : tensor;
    return float32Tensor(name, shape, new Float32Array(shape.reduce((product, size) => product * size, 1)));
  });
  await writeTinyAdapter(directory);
  await writeFile(join(directory, "adapter_model.safetensors"), safetensorsBytes(stored));
  await (await openAdapter(directory)).close();
}

describe("an adapter", () => {
  it("is read with or without its name in the tensors' names", async () => {
    for (const adapterName of ["", ".default", ".my-adapter"]) {
      await withAdapter({ adapterName }, async ({ updates, profile }) => {
        expect(updates.size).toBe(14);
        expect(updates.get(QUERY)).toMatchObject({ rank: 5, inputs: 96, outputs: 96, scale: 2 });
        expect(await updates.get(QUERY)?.down()).toEqual(tinyUpdates().get(QUERY)?.A);
        expect(profile).toBeNull();
      });
    }
  });

  it("scales by α/r, rank-stabilised by α/√r, and by a module's own α", async () => {
    expect((await scales({}))[QUERY]).toBe(2);
    expect((await scales({ use_rslora: true }))[QUERY]).toBe(10 / Math.sqrt(5));
    const own = await scales({ alpha_pattern: { "layers.1.mlp.down_proj": 20, q_proj: 5, "self_attn.q_proj": 1 } });
    expect(own[QUERY]).toBe(1);
    expect(own["model.layers.1.mlp.down_proj"]).toBe(4);
    expect(own["model.layers.0.mlp.down_proj"]).toBe(2);
  });

  it("may have another rank for some modules", async () => {
    const updates = new Map(tinyUpdates());
    const [wide] = [...tinyUpdates(3, 8)].filter(([module]) => module === QUERY);
    if (wide !== undefined) updates.set(...wide);
    const config = { ...TINY_ADAPTER_CONFIG, rank_pattern: { "model.layers.0.self_attn.q_proj": 8 } };
    await withAdapter({ updates, config }, (adapter) => {
      expect(adapter.updates.get(QUERY)).toMatchObject({ rank: 8, scale: 10 / 8 });
    });
    await refusal({ updates }).toThrow(
      `tensor base_model.model.${QUERY}.lora_A.weight has shape [8,96]; it should be [5, inputs]`,
    );
  });

  it("has the profile that lies beside it, and a hash of configuration, weights and profile", async () => {
    const hash = (parts: TinyAdapterParts) => withAdapter(parts, ({ contentHash }) => contentHash);
    const plain = await hash({});
    expect(await hash({})).toBe(plain);
    const others = [
      await hash({ config: { ...TINY_ADAPTER_CONFIG, lora_alpha: 11 } }),
      await hash({ updates: tinyUpdates(12) }),
      await withAdapter({ profile: PROFILE }, ({ profile, contentHash }) => {
        expect(profile).toEqual(PROFILE);
        return contentHash;
      }),
    ];
    expect(new Set([plain, ...others]).size).toBe(4);
  });
});

describe("an adapter that cannot be merged", () => {
  it("is refused when it is not a LoRA in PEFT's format", async () => {
    await expect(openAdapter(directory)).rejects.toThrow(`${directory} is not a LoRA in PEFT's format`);
    await writeFile(join(directory, "adapter_config.json"), "{");
    await expect(openAdapter(directory)).rejects.toThrow(
      "adapter_config.json is not a LoRA that can be served: it is not",
    );
    await refusedConfig({ peft_type: "LOHA" }).toThrow("peft_type: must be LORA");
    await refusedConfig({ r: 0 }).toThrow("adapter_config.json is not a LoRA that can be served: r: ");
    await refusedConfig({ r: 1e9 }).toThrow("r: ");
    await refusedConfig({ lora_alpha: undefined }).toThrow("lora_alpha: ");
    await refusedConfig({ rank_pattern: { "(": 4 } }).toThrow(
      "rank_pattern: has a key that is not a regular expression",
    );
    await rm(join(directory, "adapter_model.safetensors"));
    await writeFile(join(directory, "adapter_config.json"), JSON.stringify(TINY_ADAPTER_CONFIG));
    await expect(openAdapter(directory)).rejects.toThrow(/^Cannot open .*adapter_model.safetensors/);
  });

  it("is refused when it computes something else than W + s · B · A", async () => {
    await refusedConfig({ use_dora: true }).toThrow("use_dora: DoRA is not supported");
    await refusedConfig({ bias: "all" }).toThrow("bias: must be none");
    await refusedConfig({ lora_bias: true }).toThrow("lora_bias: a bias of the adapter is not supported");
    await refusedConfig({ fan_in_fan_out: true }).toThrow("fan_in_fan_out: a transposed weight");
    await refusedConfig({ modules_to_save: ["lm_head"] }).toThrow("modules_to_save: a module trained in full");
    await refusedConfig({ trainable_token_indices: [1] }).toThrow("training single tokens is not supported");
    await refusedConfig({ layer_replication: [[0, 1]] }).toThrow("replicating layers is not supported");
    await refusedConfig({ init_lora_weights: "pissa_niter_16" }).toThrow("changes the base model too");
  });

  it("is refused when it adapts the embedding or the head", async () => {
    const only = "only the linear layers of attention and feed-forward are";
    await refusedConfig({ target_modules: ["q_proj", "lm_head"] }).toThrow(
      `adapts lm_head, which is not supported: ${only}`,
    );
    await refusedConfig({ target_modules: ["model.embed_tokens"] }).toThrow("adapts model.embed_tokens");
    await expect(withTensors("base_model.model.lm_head.lora_A.weight")).rejects.toThrow("adapts lm_head");
    const embedding = "base_model.model.model.embed_tokens.lora_embedding_A";
    await expect(withTensors(embedding)).rejects.toThrow("adapts model.embed_tokens");
  });

  it("is refused when a tensor would be ignored, has no partner or the wrong shape", async () => {
    const name = `base_model.model.${QUERY}`;
    const pair = [`${name}.lora_A.weight`, `${name}.lora_B.weight`] as const;
    await withTensors(...pair);
    await expect(withTensors(...pair, `${name}.lora_magnitude_vector`)).rejects.toThrow(
      `tensor ${name}.lora_magnitude_vector is not a LoRA's A or B, and would be ignored`,
    );
    await expect(withTensors(...pair, "model.norm.weight")).rejects.toThrow("tensor model.norm.weight is not a LoRA's");
    await expect(withTensors(...pair, `${name}.lora_A.other.weight`)).rejects.toThrow("only one adapter in a file");
    await expect(withTensors(pair[0])).rejects.toThrow(`${QUERY} has lora_A only; both are needed`);
    await expect(withTensors(pair[1])).rejects.toThrow(`${QUERY} has lora_B only; both are needed`);
    await expect(withTensors([pair[0], [5, 5, 1]], pair[1])).rejects.toThrow(
      "has shape [5,5,1]; it should be a matrix",
    );
    await expect(withTensors(pair[0], [pair[1], [5, 4]])).rejects.toThrow("has shape [5,4]; it should be [outputs, 5]");
    await expect(withTensors()).rejects.toThrow("holds no tensors");
  });

  it("is refused when its profile is not one", async () => {
    await writeTinyAdapter(directory);
    await writeFile(join(directory, "profile.json"), '{"template":"chatml","attributes":[{"name":"wit","default":1}]}');
    await expect(openAdapter(directory)).rejects.toThrow("profile.json is not a steering profile: attributes.0.name: ");
  });
});

describe("merging", () => {
  const source = async (name: string) => Float32Array.from(tinyWeights().get(name) ?? []);

  it("adds scale · B · A to each matrix that the adapter changes, and leaves the others", () =>
    withAdapter({}, async (adapter) => {
      const merged = mergedWeights(source, TINY_CONFIG, adapter);
      const expected = mergedByHand(tinyWeights(), tinyUpdates(), 2);
      for (const [name, values] of expected) {
        const actual = await merged(name);
        expect(actual).toHaveLength(values.length);
        const worst = actual.reduce((most, value, index) => Math.max(most, Math.abs(value - (values[index] ?? 0))), 0);
        expect(worst, name).toBeLessThan(1e-6);
      }
    }));

  it("refuses an adapter of another model, naming what does not fit", async () => {
    const merge = (module: string) => {
      const updates = new Map(
        [...tinyUpdates()].filter(([name]) => name === QUERY).map(([, update]) => [module, update]),
      );
      return withAdapter({ updates }, (adapter) => void mergedWeights(source, TINY_CONFIG, adapter));
    };
    await merge(QUERY);
    const [layer, norm] = ["model.layers.2.self_attn.q_proj", "model.layers.0.self_attn.q_norm"];
    await expect(merge(layer)).rejects.toThrow(`changes ${layer}, which this model has not: it has 2 layers`);
    await expect(merge(norm)).rejects.toThrow(`changes ${norm}, which this model has not`);
    await expect(merge("model.layers.0.self_attn.k_proj")).rejects.toThrow(
      "was trained on another model: it changes a model.layers.0.self_attn.k_proj of [96, 96], this model's is [32, 96]",
    );
  });
});
