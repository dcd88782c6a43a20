import { createServer, type Server } from "node:http";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { runningEdge } from "../e2e/running-edge.ts";
import { listen } from "../fixtures/listen.ts";

/** Pages of two origins: to a browser, the same server under another name is another site. */
describe("a publishable key in a real page", () => {
  const edge = runningEdge();
  let site: Server;
  let browser: Browser;
  let allowed: Page;
  let other: Page;
  let key = "";

  beforeAll(async () => {
    site = createServer((_, response) => response.setHeader("content-type", "text/html").end("<title>A shop</title>"));
    const origin = await listen(site);
    const { url, adminToken } = edge.current();
    const create = async (path: string, body: object) => {
      const headers = { authorization: `Bearer ${adminToken}` };
      return (await fetch(`${url}/admin/v1${path}`, { method: "POST", headers, body: JSON.stringify(body) })).json();
    };
    const project = z.object({ id: z.string() }).parse(await create("/projects", { name: "Shop" }));
    const made = await create(`/projects/${project.id}/keys`, { name: "page", kind: "publishable", origins: [origin] });
    key = z.object({ secret: z.string() }).parse(made).secret;

    const executablePath = process.env.CHROME_PATH;
    if (executablePath === undefined) throw new Error("CHROME_PATH is not set. Run the tests with `npm test`.");
    browser = await chromium.launch({
      executablePath,
      // Chromium cannot sandbox itself for root; the only pages it opens are ours.
      args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
    });
    [allowed, other] = [await browser.newPage(), await browser.newPage()];
    await allowed.goto(origin);
    await other.goto(origin.replace("127.0.0.1", "localhost"));
  });
  afterAll(async () => {
    await browser?.close();
    site?.close();
  });

  /** What the page's own script gets to see of an answer: its status and body, or the browser's error. */
  const fetchIn = (page: Page, path: string, token: string, body?: object) =>
    page.evaluate(
      async ([url, bearer, text]) => {
        try {
          const init = { headers: { authorization: `Bearer ${bearer}` } };
          const response = await fetch(url, text === "" ? init : { ...init, method: "POST", body: text });
          const requestId = response.headers.get("x-request-id");
          return { status: response.status, requestId, text: await response.text() };
        } catch (error) {
          return { status: 0, requestId: null, text: String(error) };
        }
      },
      [`${edge.current().url}${path}`, token, body === undefined ? "" : JSON.stringify(body)] as const,
    );

  it("opens a session for the page it names, which can use it and read every answer", async () => {
    const opened = await fetchIn(allowed, "/v1/sessions", key, { end_user: "visitor" });
    expect(opened.status).toBe(201);
    const { token } = z.object({ token: z.string() }).parse(JSON.parse(opened.text));
    const refused = await fetchIn(allowed, "/v1/presets", token);
    expect(refused).toMatchObject({ status: 403, text: expect.stringContaining("presets:read") });
    expect(refused.requestId).toMatch(/^req_/);
  });

  it("opens none for another page, and a session that leaked to one is of no use there", async () => {
    expect(await fetchIn(other, "/v1/sessions", key, {})).toMatchObject({
      status: 0,
      text: expect.stringMatching(/fetch/),
    });
    const opened = await fetchIn(allowed, "/v1/sessions", key, {});
    const { token } = z.object({ token: z.string() }).parse(JSON.parse(opened.text));
    expect((await fetchIn(other, "/v1/models", token)).status).toBe(0);
  });
});
