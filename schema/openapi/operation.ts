import type { z } from "zod";
import type { Scope } from "../api/keys.ts";
import type { ErrorCode } from "../wire/errors.ts";

/** Under which heading an operation is listed, in this order. */
export const ROOMS = {
  Chat: "Answers, steered, in three dialects.",
  Generations: "Answers that were kept, to be read again, resumed and cancelled.",
  Attributes: "What attributes finished answers have, and what to ask for to get such answers.",
  Models: "What is served, and how it can be steered.",
  Presets: "Saved steerings: persona, levels, bounds.",
  Limits: "How the caller's limits stand.",
  Usage: "What was used.",
  Sessions: "Short credentials for web pages.",
  Projects: "Administration: what keys, presets and limits belong to.",
  Keys: "Administration: who may do what.",
  Audit: "Administration: every change.",
} as const;
type Room = keyof typeof ROOMS;

/**
 * Whom an operation is for: a key or session with this scope; any key or session; a publishable key; whoever administers the project in the
 * path; or whoever has the server's ADMIN_TOKEN.
 */
export type Access = Scope | "any" | "publishable" | "administrator" | "admin_token";

type Example = { summary: string; value: unknown };

/** What one status is about. A body of JSON, of server-sent events, or of either. */
export type Answer = {
  description: string;
  json?: z.ZodType;
  /** What the data of an event is, and what is to be known of the stream. */
  events?: { data: z.ZodType; description: string };
  headers?: Record<string, string>;
  example?: unknown;
};

/** One thing that the API can be asked to do. Everything that documents it comes from here and from the schemas. */
export type Operation = {
  id: string;
  method: "get" | "post" | "put" | "patch" | "delete";
  /** With `{name}` for parameters. */
  path: `/${"v1" | "admin/v1"}/${string}`;
  room: Room;
  summary: string;
  description?: string;
  access: Access;
  query?: z.ZodObject;
  headers?: z.ZodObject;
  body?: { schema: z.ZodType; examples: Record<string, Example>; required?: boolean };
  /** By status; those of errors follow from `errors`. */
  answers: Record<number, Answer>;
  /** Beyond those that its access and its body bring with them. */
  errors?: readonly ErrorCode[];
};
