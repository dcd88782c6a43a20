import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { samplingSchema } from "../../../schema/api/chat.ts";
import { GENERATIONS_PATH, type GenerateRequest } from "../../../schema/wire/generate.ts";
import { importSigningKey, signRequest } from "../../../schema/wire/signature.ts";
import { attuneVersion, installedVersion } from "../engine/installed-version.ts";
import { type Gateway, MAX_TOKENS, type Upstream } from "./gateway.ts";
import { questionOf, type Target } from "./http-client.ts";
import { openAiTarget } from "./openai-target.ts";
import { conversationOf } from "./script.ts";

const startedSchema = z.object({ url: z.url(), adminToken: z.string() });
const ledgerSchema = z.object({ ledger: z.array(z.object({ id: z.string(), tokens: z.int() })) });
/** Tokens by generation, as the edge's ledger has them. */
export type EdgeLedger = ReadonlyMap<string, number>;

/** Limits that are decided on like any others, and that no load here reaches. */
const LIMITS = { requests_per_minute: 1_000_000, tokens_per_minute: 1_000_000_000 };

const PRESET = {
  slug: "brief",
  persona: "You are the patient assistant of a harbour museum. You answer in plain words.",
  attributes: { helpfulness: 4, verbosity: 1 },
  bounds: { verbosity: { max: 2 }, toxicity: { locked: 0 } },
};

export type AttuneGateway = Gateway & { ledger: () => Promise<EdgeLedger> };

/** Our edge with everything on: key, limits of key and project, preset, signed upstream, ledger. @throws Error where it does not start */
export async function startAttune(upstream: Upstream, started: AsyncDisposableStack): Promise<AttuneGateway> {
  // The child removes it.
  const directory = mkdtempSync(join(tmpdir(), "attune-bench-"));
  const child = fork(
    fileURLToPath(new URL("./children/attune.ts", import.meta.url)),
    [directory, upstream.url, upstream.secret],
    { stdio: ["ignore", "inherit", "inherit", "ipc"], execArgv: [] },
  );
  const ended = once(child, "exit").then(([code]) => {
    throw new Error(`the edge ended with exit code ${code}; its last words are above`);
  });
  // Whoever waits for an answer hears of it by the broken connection.
  ended.catch(() => {});
  started.defer(async () => {
    child.kill("SIGTERM");
    await ended.catch(() => {});
  });
  const { url, adminToken } = startedSchema.parse(await nextMessage(child, ended));
  const key = await setUp(url, adminToken);
  const steering = { steer: { preset: PRESET.slug, attributes: { verbosity: 3 } } };
  return {
    name: "attune",
    version: attuneVersion(),
    detail: `workerd ${installedVersion("workerd", import.meta.url)}; key, limits of key and project, preset, ledger, log lines`,
    pid: child.pid ?? -1,
    target: openAiTarget(url, upstream.model, { authorization: `Bearer ${key}` }, steering),
    direct: await workerTarget(upstream),
    ledger: async () => {
      const answer = nextMessage(child, ended);
      child.send({});
      const { ledger } = ledgerSchema.parse(await answer);
      return new Map(ledger.map(({ id, tokens }) => [id, tokens]));
    },
  };
}

async function nextMessage(child: ChildProcess, ended: Promise<never>): Promise<unknown> {
  const [message] = await Promise.race([once(child, "message"), ended]);
  return message;
}

/** A project with limits of its own, a key with others, and a preset. @returns the key */
async function setUp(url: string, adminToken: string): Promise<string> {
  const post = async (path: string, token: string, body: object): Promise<unknown> => {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const response = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`POST ${path} answered ${response.status}: ${await response.text()}`);
    return response.json();
  };
  const project = z
    .object({ id: z.string() })
    .parse(await post("/admin/v1/projects", adminToken, { name: "Benchmark", ...LIMITS }));
  const { secret } = z
    .object({ secret: z.string() })
    .parse(await post(`/admin/v1/projects/${project.id}/keys`, adminToken, { name: "Benchmark", ...LIMITS }));
  await post("/v1/presets", secret, PRESET);
  return secret;
}

/** The mock upstream as the edge asks it, signed. */
async function workerTarget({ url, secret, model }: Upstream): Promise<Target> {
  const key = await importSigningKey(secret);
  let count = 0;
  return async (script, stream) => {
    const generation: GenerateRequest = {
      generation: `gen_direct${String(count++).padStart(8, "0")}`,
      dialect: "openai",
      model,
      messages: [{ role: "system", content: PRESET.persona }, ...conversationOf(script)],
      steering: { effective: {}, method: "none", preset: null, clamped: [], not_trained: [], note: null },
      sampling: samplingSchema.parse({ max_tokens: MAX_TOKENS }),
      stream,
      include_usage: false,
    };
    const body = JSON.stringify(generation);
    const signed = { method: "POST", path: GENERATIONS_PATH, body };
    return questionOf(new URL(GENERATIONS_PATH, url), await signRequest(key, signed, Date.now() / 1000), body);
  };
}
