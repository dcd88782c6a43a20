import { type ServedModel, servedModelsSchema } from "../../schema/api/models.ts";
import { AttuneError, type ErrorBody, errorBodySchema } from "../../schema/wire/errors.ts";
import {
  cancelPath,
  GENERATIONS_PATH,
  type GenerateRequest,
  type GenerationReport,
  generationReportSchema,
  WORKER_MODELS_PATH,
} from "../../schema/wire/generate.ts";
import { SCORE_PATH, type ScoreAnswer, type ScoreRequest, scoreAnswerSchema } from "../../schema/wire/score.ts";
import { importSigningKey, signRequest } from "../../schema/wire/signature.ts";
import { ExpiringCache } from "../expiring-cache.ts";

/** Short questions: which models, cancel this. */
const QUICK_TIMEOUT_MS = 5_000;

/** Longer than the worker lets answers wait to be read. */
const SCORE_TIMEOUT_MS = 310_000;

/** What the worker says that is the caller's to know; any other status means that the worker is broken or not ours. */
const PASSED_ON = [400, 404, 429, 503, 504] as const;
export type Refusal = { status: (typeof PASSED_ON)[number] | 500; body: ErrorBody; retryAfter: string | null };

/** How the worker answered a generate request. */
export type Admission =
  | { admitted: true; response: Response }
  /** `headers` count what was used where it failed half-way. */
  | { admitted: false; refusal: Refusal; headers: Headers };

const servedModels = new ExpiringCache<ServedModel[]>({ capacity: 8, lifetimeMs: 30_000 });

function unavailable(cause: unknown): AttuneError {
  return new AttuneError("worker_unavailable", "No inference worker is ready. Try again in a few seconds.", { cause });
}

/** `null` where the answer is not fit for the caller, as a rejected signature. */
async function readRefusal(response: Response): Promise<Refusal | null> {
  const body = errorBodySchema.safeParse(await response.json().catch(() => null));
  if (!body.success) return null;
  const retryAfter = response.headers.get("retry-after");
  const status = PASSED_ON.find((passed) => passed === response.status);
  if (status !== undefined) return { status, body: body.data, retryAfter };
  return body.data.error.code === "generation_failed" ? { status: 500, body: body.data, retryAfter } : null;
}

/** The inference worker, as the edge sees it: one configured origin, and every request to it signed. */
export class InferenceWorker {
  readonly #origin: string;
  readonly #secret: string;
  readonly #requestId: string;

  constructor(env: Pick<Cloudflare.Env, "WORKER_URL" | "WORKER_SECRET">, requestId: string) {
    this.#origin = env.WORKER_URL;
    this.#secret = env.WORKER_SECRET;
    this.#requestId = requestId;
  }

  /**
   * The served models, at most 30 s old.
   *
   * @throws AttuneError `worker_unavailable`
   */
  async models(): Promise<ServedModel[]> {
    const cached = servedModels.get(this.#origin, Date.now());
    if (cached !== undefined) return cached;
    const response = await this.#send("GET", WORKER_MODELS_PATH, "", AbortSignal.timeout(QUICK_TIMEOUT_MS));
    if (!response.ok) throw unavailable(`GET ${WORKER_MODELS_PATH} answered ${response.status}`);
    const parsed = servedModelsSchema.safeParse(await response.json().catch(() => null));
    if (!parsed.success) throw unavailable(parsed.error);
    servedModels.set(this.#origin, parsed.data.data, Date.now());
    return parsed.data.data;
  }

  /**
   * Starts a generation. Aborting `signal` closes the connection, which the worker takes as a cancel.
   *
   * @throws AttuneError `worker_unavailable`
   */
  async generate(request: GenerateRequest, signal: AbortSignal): Promise<Admission> {
    const response = await this.#send("POST", GENERATIONS_PATH, JSON.stringify(request), signal);
    if (response.ok) return { admitted: true, response };
    const refusal = await readRefusal(response);
    if (refusal === null) throw unavailable(`POST ${GENERATIONS_PATH} answered ${response.status}`);
    return { admitted: false, refusal, headers: response.headers };
  }

  /**
   * Has finished answers measured. Aborting `signal` gives it up.
   *
   * @throws AttuneError `worker_unavailable`
   */
  async score(request: ScoreRequest, signal: AbortSignal): Promise<ScoreAnswer | Refusal> {
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(SCORE_TIMEOUT_MS)]);
    const response = await this.#send("POST", SCORE_PATH, JSON.stringify(request), inTime);
    const refusal = response.ok ? null : await readRefusal(response);
    if (refusal !== null) return refusal;
    const answer = scoreAnswerSchema.safeParse(await response.json().catch(() => null));
    if (!answer.success) throw unavailable(`POST ${SCORE_PATH} answered ${response.status}`);
    return answer.data;
  }

  /** Ends a generation and tells what it used; `null` where the worker can not say. */
  async cancel(generation: string): Promise<GenerationReport | null> {
    try {
      const signal = AbortSignal.timeout(QUICK_TIMEOUT_MS);
      const response = await this.#send("POST", cancelPath(generation), "", signal);
      const report = generationReportSchema.safeParse(await response.json());
      return report.success ? report.data : null;
    } catch (error) {
      console.error(JSON.stringify({ event: "cancel_failed", request_id: this.#requestId, reason: String(error) }));
      return null;
    }
  }

  async #send(method: "GET" | "POST", path: string, body: string, signal: AbortSignal): Promise<Response> {
    const key = await importSigningKey(this.#secret);
    const signature = await signRequest(key, { method, path, body }, Date.now() / 1000);
    const headers = { ...signature, "content-type": "application/json", "x-request-id": this.#requestId };
    try {
      return await fetch(new URL(path, this.#origin), {
        method,
        headers,
        signal,
        redirect: "manual",
        ...(method === "POST" && { body }),
      });
    } catch (error) {
      throw unavailable(error);
    }
  }
}
