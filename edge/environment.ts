import type { Administrator } from "./admin/administrate.ts";
import type { Principal } from "./auth/principal.ts";
import type { KeptGeneration } from "./generations/kept/kept-generation.ts";
import type { ProjectLimiter } from "./limits/project-limiter.ts";
import type { Observation } from "./observability/observation.ts";

declare global {
  namespace Cloudflare {
    /** What `wrangler.toml` binds, and the secrets it names. */
    interface Env {
      DB: D1Database;
      PROJECT_LIMITER: DurableObjectNamespace<ProjectLimiter>;
      KEPT_GENERATION: DurableObjectNamespace<KeptGeneration>;
      /** The origin of the one inference worker; not used where `WORKERS` is set. */
      WORKER_URL: string;
      /** Inference workers, as JSON (docs/upstreams.md). */
      WORKERS?: string;
      WORKER_SECRET: string;
      KEY_PEPPER: string;
      /** Accepted beside `KEY_PEPPER`, while keys move from one pepper to another. */
      KEY_PEPPER_OTHER?: string;
      /** Opens all of /admin/v1; without it only keys with the scope `admin` do, each for its project. */
      ADMIN_TOKEN?: string;
      /** `errors`: the log has only those requests that were not answered as asked. */
      REQUEST_LOG?: string;
      /** Where spans go, as OpenTelemetry's OTEL_EXPORTER_OTLP_ENDPOINT; without it nowhere. */
      OTLP_ENDPOINT?: string;
      /** Headers of what goes there, `name=value,name=value`. */
      OTLP_HEADERS?: string;
    }
  }
}

/** The context of every route: bindings, and what the steps before it found out. */
export type Edge = {
  Bindings: Cloudflare.Env;
  Variables: {
    requestId: string;
    /** Set by `observe`, which runs before everything else. */
    observation: Observation;
    /** Set by `authenticate`, which runs before every route under /v1 but /v1/sessions. */
    principal: Principal;
    /** Set by `administrate`, which runs before every route under /admin/v1. */
    administrator: Administrator;
  };
};
