import type { ApiKey } from "./auth/store.ts";
import type { ProjectLimiter } from "./limits/project-limiter.ts";

declare global {
  namespace Cloudflare {
    /** What `wrangler.toml` binds, and the two secrets it names. */
    interface Env {
      DB: D1Database;
      PROJECT_LIMITER: DurableObjectNamespace<ProjectLimiter>;
      WORKER_URL: string;
      WORKER_SECRET: string;
      KEY_PEPPER: string;
    }
  }
}

/** The context of every route: bindings, and what the steps before it found out. */
export type Edge = {
  Bindings: Cloudflare.Env;
  Variables: {
    requestId: string;
    /** Set by `authenticate`, which runs before every route under /v1. */
    apiKey: ApiKey;
  };
};
