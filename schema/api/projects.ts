import { z } from "zod";

/** The body of `POST /admin/v1/projects`. */
export const projectCreateSchema = z.strictObject({
  name: z.string().trim().min(1, { error: "must not be empty" }).max(100),
});

/** A project as every admin route answers it: what keys, presets and limits belong to. */
export type Project = {
  object: "project";
  id: string;
  name: string;
  /** Unix seconds. */
  created_at: number;
};
