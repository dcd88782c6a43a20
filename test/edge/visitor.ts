import { expect } from "vitest";
import type { SessionAnswer } from "../../schema/api/sessions.ts";
import { type Client, clientFor, issueKey } from "./project.ts";

const PAGE = "https://shop.example";

export const publishableKey = (columns: Parameters<typeof issueKey>[0] = {}) =>
  issueKey({ kind: "publishable", scopes: ["chat", "models:read"], origins: [PAGE], ...columns });

/** Calls as the page of a visitor does, in a session of its own. */
export async function openVisitor(publishable: string, endUser?: string): Promise<Client> {
  const atPage = (key: string): Client => {
    const call = clientFor(key);
    return (path, body, init = {}) => call(path, body, { ...init, headers: { origin: PAGE, ...init.headers } });
  };
  const opened = await atPage(publishable)("/v1/sessions", endUser === undefined ? {} : { end_user: endUser });
  expect(opened.status).toBe(201);
  return atPage((await opened.json<SessionAnswer>()).token);
}
