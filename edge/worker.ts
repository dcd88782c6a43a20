import { app } from "./app.ts";

export { KeptGeneration } from "./generations/kept/kept-generation.ts";
export { ProjectLimiter } from "./limits/project-limiter.ts";

export default app;
