import { describe, expect, test } from "vitest";
import { chooseAdapter, chooseModel, chooseShards } from "../../../gpu-worker/model/hub/choice.ts";
import { parseHubId } from "../../../gpu-worker/model/hub/hub-id.ts";
import type { PinnedFile } from "../../../gpu-worker/model/pinned-file.ts";

const pinned = (file: string, bytes = 1000): PinnedFile => ({
  file,
  bytes,
  digest: { algorithm: "sha256", hex: "00" },
});
const repository = (...names: string[]) => names.map((name) => pinned(name));

const SETTINGS = ["config.json", "tokenizer.json", "tokenizer_config.json"];

function choice(id: string, files: PinnedFile[], choose = chooseModel) {
  const { opens, settings, weights } = choose(parseHubId(id), files);
  return {
    opens,
    settings: settings.map(({ file }) => file).sort(),
    weights: weights?.map(({ file }) => file) ?? null,
  };
}

describe("the files of a model", () => {
  test("are the only GGUF file, beside which projectors and parts do not count", () => {
    const files = repository("README.md", "a.gguf", "mmproj-a.gguf", "b-00001-of-00002.gguf", "b-00002-of-00002.gguf");
    expect(choice("hf:o/n", files)).toEqual({ opens: "a.gguf", settings: [], weights: ["a.gguf"] });
  });

  test("are the GGUF file that is named", () => {
    const files = repository("a.gguf", "Q4/b.gguf");
    expect(choice("hf:o/n:Q4/b.gguf", files)).toEqual({ opens: "Q4/b.gguf", settings: [], weights: ["Q4/b.gguf"] });
  });

  test("are safetensors and what belongs to them, and nothing else", () => {
    const wanted = [...SETTINGS, "generation_config.json", "chat_template.jinja", "profile.json"].sort();
    const unwanted = ["README.md", "pytorch_model.bin", "consolidated.safetensors", "onnx/model.onnx"];
    const whole = repository(...wanted, ...unwanted, "model.safetensors");
    expect(choice("hf:o/n", whole)).toEqual({ opens: "", settings: wanted, weights: ["model.safetensors"] });

    const sharded = repository(...SETTINGS, "model.safetensors.index.json", "model-00001-of-00001.safetensors");
    const settings = [...SETTINGS, "model.safetensors.index.json"].sort();
    expect(choice("hf:o/n", sharded)).toEqual({ opens: "", settings, weights: null });
  });

  test("among several GGUF files are the user's choice: they are listed with sizes, and how to name one", () => {
    const files = [
      pinned("a.Q4.gguf", 4_920_000_000),
      pinned("a.Q8.gguf", 85_000_000),
      ...repository("model.safetensors"),
    ];
    const choosing = () => choice("hf:o/n@dev", files);
    expect(choosing).toThrow("hf:o/n@dev has 2 GGUF files. Name one, such as hf:o/n@dev:a.Q4.gguf");
    expect(choosing).toThrow("hf:o/n@dev:model.safetensors for its safetensors");
    expect(choosing).toThrow("a.Q4.gguf (4.9 GB)\n  - a.Q8.gguf (85 MB)");
  });

  test("are the safetensors beside GGUF files where they are named", () => {
    const files = repository("a.gguf", "b.gguf", ...SETTINGS, "model.safetensors");
    expect(choice("hf:o/n:model.safetensors", files)).toMatchObject({ opens: "", weights: ["model.safetensors"] });
  });

  test.each([
    ["hf:o/n", ["pytorch_model.bin", ...SETTINGS], "Served are GGUF files"],
    ["hf:o/n", ["pytorch_model.bin"], "pytorch_model.bin (1.0 kB)"],
    ["hf:o/n", ["adapter_config.json"], "give it as --adapter"],
    ["hf:o/n", ["model.safetensors", "config.json"], "no tokenizer.json"],
    ["hf:o/n", [], "nothing"],
    ["hf:o/n:b.gguf", ["a.gguf"], "hf:o/n has no file b.gguf. It has:\n  - a.gguf"],
    ["hf:o/n:README.md", ["README.md"], "README.md of hf:o/n is not a model"],
    ["hf:o/n:a-00001-of-00002.gguf", ["a-00001-of-00002.gguf"], "is not a whole model"],
  ])("of %s with %j are missing, and the error says what there is", (id, names, message) => {
    expect(() => choice(id, repository(...names))).toThrow(message);
  });

  test("are all that the index names", () => {
    const files = repository("one.safetensors", "two.safetensors");
    expect(chooseShards(parseHubId("hf:o/n"), files, ["two.safetensors"])).toEqual([files[1]]);
    expect(() => chooseShards(parseHubId("hf:o/n"), files, ["three.safetensors"])).toThrow("names three.safetensors");
  });
});

describe("the files of an adapter", () => {
  test("are PEFT's two, and its steering profile", () => {
    const files = repository("README.md", "adapter_config.json", "adapter_model.safetensors", "profile.json");
    const settings = ["adapter_config.json", "profile.json"];
    expect(choice("hf:o/n", files, chooseAdapter)).toEqual({
      opens: "",
      settings,
      weights: ["adapter_model.safetensors"],
    });
  });

  test("are what makes it calibrated, or an attribute prediction model, too", () => {
    const extras = ["apm.json", "calibration.json", "head.safetensors", "profile.json"];
    const files = repository("adapter_config.json", "adapter_model.safetensors", ...extras);
    expect(choice("hf:o/n", files, chooseAdapter).settings).toEqual(["adapter_config.json", ...extras]);
  });

  test("are not taken from what is none, nor one by one", () => {
    expect(() => choice("hf:o/n", repository("a.gguf"), chooseAdapter)).toThrow("is not a LoRA in PEFT's format");
    expect(() => choice("hf:o/n:a.gguf", repository("a.gguf"), chooseAdapter)).toThrow("write hf:o/n.");
  });
});
