import { ensurePython } from "./python-environment.ts";

/** OpenAI's client for Python. */
const REQUIREMENT = "openai==3.57.0";

/**
 * The Python of an environment that has OpenAI's client, made in the cache directory where there is none yet.
 *
 * @throws StackError saying what is missing
 */
export const ensureOpenAiPython = (): Promise<string> => ensurePython("openai", [REQUIREMENT]);
