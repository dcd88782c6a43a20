import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DiskError } from "../../../gpu-worker/model/part-file.ts";
import { type PullProgress, pullAdapter, pullModel } from "../../../gpu-worker/model/pull.ts";
import { type FakeHub, filesOf, refuse, startFakeHub } from "../../fixtures/fake-hub.ts";
import { publishedModel } from "../../fixtures/published-models.ts";

const TOKEN = "hf_a-secret-token";

/** Large enough to come in several chunks. */
const WEIGHTS = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 31) % 251));
const HALF = WEIGHTS.length / 2;

let fake: FakeHub;
let cache: string;
beforeEach(async () => {
  fake = await startFakeHub();
  cache = await mkdtemp(join(tmpdir(), "attune-hub-"));
});
afterEach(async () => {
  await fake.close();
  await rm(cache, { recursive: true });
});

type Options = { token?: string; signal?: AbortSignal; notices?: string[]; progress?: PullProgress[] };

const pull = (path: string, { token, signal, notices = [], progress = [] }: Options = {}) =>
  pullModel({
    path,
    cache,
    hub: fake.hub(token),
    signal,
    onNotice: (text) => notices.push(text),
    onProgress: (step) => progress.push(step),
  });

/** The hub is there, but everything it answers is this. */
function answering(status: number, code: string | null, headers = {}): void {
  fake.interfere = (_, response) => refuse(response, status, code, headers);
}

const paths = () => fake.asked.map(({ path }) => path);
const downloads = () => fake.asked.filter(({ server }) => server === "cdn");

describe("a repository with one GGUF file", () => {
  test("is fetched at the commit that its branch points to", async () => {
    const commit = fake.push("o/n", { "README.md": Buffer.from("hello"), "a.gguf": WEIGHTS });
    const progress: PullProgress[] = [];
    const path = await pull("hf:o/n", { progress });
    expect(await readFile(path)).toEqual(WEIGHTS);
    expect(path).toBe(join(cache, "hub", "o", "n", commit, "a.gguf"));
    expect(await readdir(dirname(path))).toEqual(["a.gguf"]);
    expect(progress.at(-1)).toEqual({ source: "hf:o/n", received: WEIGHTS.length, total: WEIGHTS.length });
    expect(paths()).toEqual([
      "/api/models/o/n/revision/main",
      `/o/n/resolve/${commit}/a.gguf`,
      `/o/n/${commit}/a.gguf`,
    ]);
  });

  test("is taken at the branch, tag or commit that is named", async () => {
    const old = fake.push("o/n", { "a.gguf": Buffer.from("old") }, "refs/pr/1");
    fake.push("o/n", { "a.gguf": WEIGHTS });
    expect(await readFile(await pull("hf:o/n@refs/pr/1"), "utf8")).toBe("old");
    expect(await readFile(await pull(`hf:o/n@${old}`), "utf8")).toBe("old");
    expect(await readFile(await pull("hf:o/n"))).toEqual(WEIGHTS);
  });
});

describe("a repository with several files", () => {
  test("gives the GGUF that is named, in a folder too", async () => {
    fake.push("o/n", { "Q4/a b.gguf": Buffer.from("small"), "Q8/a.gguf": WEIGHTS });
    expect(await readFile(await pull("hf:o/n:Q4/a b.gguf"), "utf8")).toBe("small");
    await expect(pull("hf:o/n")).rejects.toThrow("has 2 GGUF files");
  });

  test("gives its shards, and no more than belongs to the model", async () => {
    const files = await filesOf(publishedModel("llama3").directory);
    fake.push("o/n", { ...files, "README.md": Buffer.from("hello"), "pytorch_model.bin": WEIGHTS });
    const directory = await pull("hf:o/n");
    const { "expected.json": _, ...wanted } = files;
    expect(await filesOf(directory)).toEqual(wanted);
  });

  test("is refused by its configuration before its weights are fetched", async () => {
    const files = await filesOf(publishedModel("llama2").directory);
    fake.push("o/n", { ...files, "config.json": Buffer.from('{"model_type":"gemma3"}') });
    await expect(pull("hf:o/n")).rejects.toThrow("only llama, qwen2 and mistral are supported");
    expect(downloads()).toEqual([]);
  });

  test("gives an adapter", async () => {
    const files = { "adapter_config.json": Buffer.from("{}"), "adapter_model.safetensors": WEIGHTS };
    fake.push("o/lora", { ...files, "README.md": Buffer.from("hello") });
    expect(await filesOf(await pullAdapter("hf:o/lora", { cache, hub: fake.hub() }))).toEqual(files);
  });
});

describe("what was fetched once", () => {
  test("is not fetched again, and the hub is only asked what its branch is", async () => {
    fake.push("o/n", { "a.gguf": WEIGHTS });
    const path = await pull("hf:o/n");
    fake.asked.length = 0;
    expect(await pull("hf:o/n")).toBe(path);
    expect(paths()).toEqual(["/api/models/o/n/revision/main"]);
  });

  test("is found by its commit without asking anyone", async () => {
    const commit = fake.push("o/n", { "a.gguf": WEIGHTS });
    const path = await pull("hf:o/n");
    fake.asked.length = 0;
    expect(await pull(`hf:o/n@${commit}`)).toBe(path);
    expect(fake.asked).toEqual([]);
  });

  test("serves while the hub is in trouble or out of reach, and it is said", async () => {
    const commit = fake.push("o/n", { "a.gguf": WEIGHTS });
    const path = await pull("hf:o/n");
    const notices: string[] = [];
    answering(503, null);
    expect(await pull("hf:o/n", { notices })).toBe(path);
    fake.interfere = (_, response) => response.end("<html>Log in to this network</html>") !== undefined;
    expect(await pull("hf:o/n", { notices })).toBe(path);
    fake.interfere = (_, response) => response.destroy() !== undefined;
    expect(await pull("hf:o/n", { notices })).toBe(path);
    expect(fake.waits).toEqual([]);

    const offline = { ...fake.hub(), endpoint: "http://127.0.0.1:1" };
    const onNotice = (text: string) => notices.push(text);
    expect(await pullModel({ path: "hf:o/n", cache, hub: offline, onNotice })).toBe(path);
    expect(notices).toHaveLength(4);
    for (const notice of notices) expect(notice).toContain(`hf:o/n is taken from the cache, ${commit}.`);
    expect(notices[0]).toContain("HTTP status 503");
  });

  test("is named where the hub refuses it now", async () => {
    const commit = fake.push("o/n", { "a.gguf": WEIGHTS });
    await pull("hf:o/n");
    answering(401, "RepoNotFound");
    await expect(pull("hf:o/n")).rejects.toThrow(`What the cache has of it is hf:o/n@${commit}.`);
  });

  test("is linked into a later commit that did not change it", async () => {
    fake.push("o/n", { "README.md": Buffer.from("one"), "a.gguf": WEIGHTS });
    const old = await pull("hf:o/n");
    fake.push("o/n", { "README.md": Buffer.from("two"), "a.gguf": WEIGHTS });
    const path = await pull("hf:o/n");
    expect(path).not.toBe(old);
    expect((await stat(path)).ino).toBe((await stat(old)).ino);
    expect(downloads()).toHaveLength(1);
  });

  test("is repaired where it was damaged since, even if an older commit's is too", async () => {
    fake.push("o/n", { "README.md": Buffer.from("one"), "a.gguf": WEIGHTS });
    await writeFile(await pull("hf:o/n"), Buffer.alloc(WEIGHTS.length));
    fake.push("o/n", { "README.md": Buffer.from("two"), "a.gguf": WEIGHTS });
    const path = await pull("hf:o/n");
    expect(await readFile(path)).toEqual(WEIGHTS);
    await truncate(path, 5);
    expect(await readFile(await pull("hf:o/n"))).toEqual(WEIGHTS);
  });
});

describe("a download that breaks off", () => {
  /** Sends half of each large file and cuts the connection. */
  const cut: FakeHub["interfere"] = ({ server, range }, response) => {
    if (server === "hub" || range !== undefined) return false;
    response
      .writeHead(200, { "content-length": WEIGHTS.length })
      .write(WEIGHTS.subarray(0, HALF), () => response.destroy());
    return true;
  };

  test("is gone on with at once, from where it was", async () => {
    fake.push("o/n", { "a.gguf": WEIGHTS });
    fake.interfere = cut;
    expect(await readFile(await pull("hf:o/n"))).toEqual(WEIGHTS);
    expect(downloads().map(({ range }) => range)).toEqual([undefined, `bytes=${HALF}-`]);
    expect(fake.waits).toEqual([1000]);
  });

  test("by Ctrl-C leaves what came of each file, nothing half under its name, and is gone on with later", async () => {
    const files = await filesOf(publishedModel("llama3").directory);
    const shards = Object.keys(files).filter((name) => /^model-.*safetensors$/.test(name));
    fake.push("o/n", files);
    const sent = (path: string) => files[path.split("/").at(-1) ?? ""] ?? Buffer.alloc(0);
    fake.interfere = ({ server, path }, response) => {
      if (server === "hub") return false;
      response.writeHead(200, { "content-length": sent(path).length }).write(sent(path).subarray(0, 1000));
      return true;
    };
    const stop = new AbortController();
    const pulling = pullModel({
      path: "hf:o/n",
      cache,
      hub: fake.hub(),
      signal: stop.signal,
      onProgress: ({ received }) => received === 1000 * shards.length && stop.abort(new Error("Interrupted")),
    });
    await expect(pulling).rejects.toThrow("Interrupted");
    const directory = join(cache, "hub", "o", "n", await commitOf());
    const left = (await readdir(directory)).filter((name) => name.includes(".safetensors") && !name.includes(".json"));
    expect(left.sort()).toEqual(shards.map((name) => `${name}.part`).sort());

    fake.interfere = () => false;
    fake.asked.length = 0;
    expect((await filesOf(await pull("hf:o/n")))[shards[0] ?? ""]).toEqual(files[shards[0] ?? ""]);
    expect(downloads().map(({ range }) => range)).toEqual(shards.map(() => "bytes=1000-"));
    expect(await readdir(directory)).not.toContainEqual(expect.stringContaining(".part"));
  });

  test("because another file cannot be had stops too, and keeps what came", async () => {
    fake.push("o/n", await filesOf(publishedModel("llama3").directory));
    const begun = Promise.withResolvers<void>();
    fake.interfere = ({ server, path }, response) => {
      if (server === "hub") return false;
      if (path.includes("00001-of")) void begun.promise.then(() => response.writeHead(404).end());
      else response.write(Buffer.alloc(1000));
      return true;
    };
    const onProgress = ({ received }: PullProgress) => received === 1000 && begun.resolve();
    const pulling = pullModel({ path: "hf:o/n", cache, hub: fake.hub(), onProgress });
    await expect(pulling).rejects.toThrow("Could not obtain model-00001-of-00002.safetensors");
    const left = await readdir(join(cache, "hub", "o", "n", await commitOf()));
    expect(left.filter((name) => name.endsWith(".part"))).toEqual(["model-00002-of-00002.safetensors.part"]);
  });

  async function commitOf(): Promise<string> {
    const text = await readFile(join(cache, "hub", "o", "n", "refs", "main.json"), "utf8");
    return String(/[0-9a-f]{40}/.exec(text)?.[0]);
  }
});

describe("a file that is not what the hub said", () => {
  test.each(["a.gguf", "config.json"])("such as %s is refused by its hash and never shown", async (wrong) => {
    const files = await filesOf(publishedModel("llama2").directory);
    const commit = fake.push("o/n", wrong === "a.gguf" ? { "a.gguf": WEIGHTS } : files);
    fake.interfere = ({ path }, response) => {
      if (!path.endsWith(`${commit}/${wrong}`) || (wrong === "a.gguf" && path.includes("resolve"))) return false;
      response.end(Buffer.alloc(wrong === "a.gguf" ? WEIGHTS.length : (files[wrong]?.length ?? 0)));
      return true;
    };
    await expect(pull("hf:o/n")).rejects.toThrow(/the file has (SHA-256|git blob hash) [0-9a-f]+, expected/);
    expect(await readdir(join(cache, "hub", "o", "n", commit))).not.toContain(wrong);
  });

  test("by its name, leading out of its directory, is never written", async () => {
    fake.push("o/n", { "../../../../escaped.gguf": WEIGHTS, "/etc/escaped.gguf": WEIGHTS, "a\\..\\b.gguf": WEIGHTS });
    await expect(pull("hf:o/n")).rejects.toThrow("has no GGUF file");
    const index = Buffer.from('{"weight_map":{"model.norm.weight":"../../escaped.safetensors"}}');
    const files = await filesOf(publishedModel("llama3").directory);
    fake.push("o/n", { ...files, "model.safetensors.index.json": index, "../../escaped.safetensors": WEIGHTS });
    await expect(pull("hf:o/n")).rejects.toThrow("names a file outside its directory: ../../escaped.safetensors");
    expect(downloads()).toEqual([]);
  });

  test("by a shard that the repository lacks is said before any shard is fetched", async () => {
    const { "model-00002-of-00002.safetensors": _, ...files } = await filesOf(publishedModel("llama3").directory);
    fake.push("o/n", files);
    await expect(pull("hf:o/n")).rejects.toThrow(
      "names model-00002-of-00002.safetensors, which the repository does not",
    );
    expect(downloads()).toEqual([]);
  });
});

describe("the hub's refusal", () => {
  test("of a repository that is not there, or is private, says what was asked", async () => {
    await expect(pull("hf:o/tpyo")).rejects.toThrow(
      `there is no o/tpyo on ${fake.url}, or it is private and HF_TOKEN is not set (HTTP status 401): check the spelling`,
    );
    await expect(pull("hf:o/tpyo", { token: TOKEN })).rejects.toThrow("the account of HF_TOKEN has no access to it");
  });

  test("of a revision that is not there names it", async () => {
    fake.push("o/n", { "a.gguf": WEIGHTS });
    await expect(pull("hf:o/n@deb")).rejects.toThrow("o/n has no branch, tag or commit deb (HTTP status 404)");
  });

  test.each([
    [401, undefined, "set HF_TOKEN to a token of that account"],
    [403, TOKEN, "the account of HF_TOKEN has no access"],
  ])("of a gated repository, %i, says where to accept its licence and what to set", async (status, token, advice) => {
    fake.push("o/n", { "a.gguf": WEIGHTS });
    fake.interfere = ({ path }, response) => path.includes("resolve") && refuse(response, status, "GatedRepo");
    const failure = await pull("hf:o/n", { ...(token ? { token } : {}) }).catch(String);
    expect(failure).toContain("o/n is gated");
    expect(failure).toContain(`accept its licence at ${fake.url}/o/n`);
    expect(failure).toContain(advice);
    expect(failure).not.toContain(TOKEN);
  });

  test("of the token is said, without showing it", async () => {
    answering(401, null);
    const failure = await pull("hf:o/n", { token: TOKEN }).catch(String);
    expect(failure).toContain("does not accept HF_TOKEN");
    expect(failure).not.toContain(TOKEN);
  });

  test("of too many requests is waited out as long as it says, and given up where that is too long", async () => {
    fake.push("o/n", { "a.gguf": WEIGHTS });
    fake.interfere = (_, response) => fake.asked.length === 1 && refuse(response, 429, null, { "retry-after": "7" });
    await pull("hf:o/n");
    expect(fake.waits).toEqual([7000]);
    answering(429, null, { "retry-after": "300" });
    await expect(pull("hf:o/other")).rejects.toThrow("try again in 300 s; with HF_TOKEN set, more are allowed");
    expect(fake.waits).toEqual([7000]);
  });

  test("by a failure of its own, or a cut connection, is tried again a few times", async () => {
    fake.push("o/n", { "a.gguf": WEIGHTS });
    answering(502, null);
    await expect(pull("hf:o/n")).rejects.toThrow("has a failure of its own (HTTP status 502): try again later");
    expect(fake.asked).toHaveLength(3);
    fake.interfere = ({ server }, response) =>
      server === "cdn" && downloads().length < 3 && response.destroy() !== undefined;
    expect(await readFile(await pull("hf:o/n"))).toEqual(WEIGHTS);
    expect(fake.waits).toEqual([1000, 2000, 1000, 2000]);
  });
});

describe("the hub out of reach", () => {
  test("is said where the cache has nothing", async () => {
    const hub = { ...fake.hub(), endpoint: "http://127.0.0.1:1" };
    const pulling = pullModel({ path: "hf:o/n", cache, hub });
    await expect(pulling).rejects.toThrow(/^Could not obtain hf:o\/n: (connect|bad port)/);
  });

  test("by its silence is given up in time", async () => {
    fake.interfere = () => true;
    const hub = { ...fake.hub(), timeouts: { headers: 40, stall: 40 } };
    await expect(pullModel({ path: "hf:o/n", cache, hub })).rejects.toThrow("no answer within 0.04 s");
  });
});

test("a token is sent to the hub, and never to where the hub redirects", async () => {
  fake.push("o/n", { "a.gguf": WEIGHTS });
  await pull("hf:o/n", { token: TOKEN });
  expect(fake.asked.map(({ server, authorization }) => [server, authorization])).toEqual([
    ["hub", `Bearer ${TOKEN}`],
    ["hub", `Bearer ${TOKEN}`],
    ["cdn", undefined],
  ]);
});

test("a cache that cannot be written is said as such", async () => {
  fake.push("o/n", { "a.gguf": WEIGHTS });
  await writeFile(join(cache, "hub"), "");
  await expect(pull("hf:o/n")).rejects.toThrow(DiskError);
  await expect(pull("hf:o/n")).rejects.toThrow("set ATTUNE_CACHE_DIR");
});
