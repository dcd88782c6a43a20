import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { httpSource } from "../../../gpu-worker/model/http-source.ts";
import { DiskError, onDisk } from "../../../gpu-worker/model/part-file.ts";
import { type FileSource, type PinnedFile, pullFile } from "../../../gpu-worker/model/pinned-file.ts";

const CONTENT = Buffer.from(Array.from({ length: 200_000 }, (_, index) => (index * 31) % 251));
const FILE: PinnedFile = {
  file: "model.gguf",
  bytes: CONTENT.length,
  digest: { algorithm: "sha256", hex: createHash("sha256").update(CONTENT).digest("hex") },
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
const ONCE = { delays: [], longest: 0, sleep: async () => {} };
const source = (timeouts = { headers: 5000, stall: 5000 }, at = url) => httpSource(at, { timeouts, patience: ONCE });

type Pull = {
  directory?: string;
  file?: PinnedFile;
  sources?: FileSource[];
  signal?: AbortSignal;
  onReceived?: (received: number, source: string | null) => void;
};
const pull = ({ directory = models, file = FILE, sources = [source()], ...options }: Pull = {}) =>
  pullFile(file, directory, sources, { onReceived: () => {}, signal: new AbortController().signal, ...options });

/** Writes what an earlier run left behind. */
async function leave(name: string, bytes: Buffer): Promise<void> {
  await mkdir(models, { recursive: true });
  await writeFile(join(models, name), bytes);
}

describe("a good source", () => {
  test("fills the cache, shows progress and leaves nothing else behind", async () => {
    handler = serveWhole;
    const progress: [number, string | null][] = [];
    const path = await pull({ onReceived: (received, name) => progress.push([received, name]) });
    expect(await readFile(path)).toEqual(CONTENT);
    expect(await readdir(models)).toEqual(["model.gguf"]);
    expect(progress[0]).toEqual([0, url]);
    expect(progress.at(-1)).toEqual([CONTENT.length, url]);
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

  test("may know the file by git's hash, as the hub knows small ones", async () => {
    handler = serveWhole;
    const hex = createHash("sha1").update(`blob ${CONTENT.length}\0`).update(CONTENT).digest("hex");
    const digest = { algorithm: "git-blob-sha1", hex } as const;
    expect(await readFile(await pull({ file: { ...FILE, digest } }))).toEqual(CONTENT);
    const other = { ...FILE, file: "other", digest: { ...digest, hex: "00" } };
    await expect(pull({ file: other })).rejects.toThrow(`the file has git blob hash ${hex}, expected 00`);
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
    let tries = 0;
    const breakOff = (received: number) => {
      if (received !== HALF || tries++ > 0) return;
      handler = (_, response) => response.writeHead(404).end();
      server.closeAllConnections();
    };
    await expect(pull({ onReceived: breakOff })).rejects.toThrow("Could not obtain model.gguf");
    expect(await readdir(models)).toEqual(["model.gguf.part"]);
    handler = serveRanges;
    expect(await readFile(await pull())).toEqual(CONTENT);
    expect(ranges).toEqual([undefined, `bytes=${HALF}-`, `bytes=${HALF}-`]);
    expect(await readdir(models)).toEqual(["model.gguf"]);
  });

  test("goes on at once, as long as each round brings it further", async () => {
    const piece = CONTENT.length / 5;
    handler = (request, response) => {
      const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
      const headers = { "content-range": `bytes ${start}-${CONTENT.length - 1}/${CONTENT.length}` };
      response.writeHead(start === 0 ? 200 : 206, headers).write(CONTENT.subarray(start, start + piece));
    };
    const breakOff = (received: number) => received % piece === 0 && received > 0 && server.closeAllConnections();
    expect(await readFile(await pull({ onReceived: breakOff }))).toEqual(CONTENT);
    expect(ranges).toHaveLength(5);
  });

  test("that the user ends keeps what came, and tries no other source", async () => {
    handler = serveHalf;
    const stop = new AbortController();
    const onReceived = (received: number) => received === HALF && stop.abort(new Error("Interrupted"));
    const pulling = pull({ sources: [source(), source()], signal: stop.signal, onReceived });
    await expect(pulling).rejects.toThrow("Interrupted");
    expect(ranges).toHaveLength(1);
    expect(await readFile(join(models, "model.gguf.part"))).toEqual(CONTENT.subarray(0, HALF));
  });

  test("is continued by the next source", async () => {
    await leave("model.gguf.part", CONTENT.subarray(0, HALF));
    handler = (request, response) =>
      ranges.length === 1 ? response.writeHead(503).end() : serveRanges(request, response);
    await pull({ sources: [source(), source()] });
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
    const failure = await pull({ sources: [source(timeouts)] }).catch((error: unknown) => error);
    return failure instanceof Error ? failure.message : "";
  };

  test("that sends another file is refused by its hash, and its bytes are thrown away", async () => {
    handler = (_, response) => response.end(Buffer.alloc(CONTENT.length));
    expect(await reason()).toMatch(new RegExp(`the file has SHA-256 [0-9a-f]{64}, expected ${FILE.digest.hex}`));
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
  test("the error names every source with its reason", async () => {
    handler = (_, response) => response.writeHead(403).end();
    const closed = "http://127.0.0.1:1/model.gguf";
    const failure = pull({ sources: [source(), source(undefined, closed)] });
    await expect(failure).rejects.toThrow(`${join(models, "model.gguf")}: not there`);
    await expect(failure).rejects.toThrow(`${url}: HTTP status 403`);
    await expect(failure).rejects.toThrow(new RegExp(`${closed}: (connect|bad port)`));
  });

  test("a cache that cannot be written is said at once, without trying sources", async () => {
    handler = serveWhole;
    await writeFile(join(cache, "file"), "");
    const failure = pull({ directory: join(cache, "file") });
    await expect(failure).rejects.toThrow(DiskError);
    await expect(failure).rejects.toThrow("set ATTUNE_CACHE_DIR");
    expect(ranges).toEqual([]);
  });

  test("a full disk is named as such", async () => {
    const full = Promise.reject(Object.assign(new Error("write"), { code: "ENOSPC" }));
    await expect(onDisk("/cache", full)).rejects.toThrow("Cannot write to /cache: no space is left. Make room");
  });

  test.runIf(existsSync("/dev/full"))("a disk that fills up meanwhile is no source's fault", async () => {
    handler = serveWhole;
    const signal = new AbortController().signal;
    const complete = source().complete("/dev/full", FILE, () => {}, signal);
    await expect(complete).rejects.toThrow("Cannot write to /dev: no space is left.");
    expect(ranges).toHaveLength(1);
  });
});
