import { app } from "./app.ts";

export { ProjectLimiter } from "./limits/project-limiter.ts";

export default app;
