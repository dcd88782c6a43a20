import { defineConfig } from "drizzle-kit";

/** `drizzle-kit generate` compares the tables with the last snapshot and writes the next migration. */
export default defineConfig({
  dialect: "sqlite",
  schema: "./schema/database/tables.ts",
  out: "./schema/database/migrations",
});
