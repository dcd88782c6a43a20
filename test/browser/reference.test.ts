import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ROOMS } from "../../schema/openapi/operation.ts";
import { runningEdge } from "../e2e/running-edge.ts";

const edge = runningEdge();

let browser: Browser;
beforeAll(async () => {
  const executablePath = process.env.CHROME_PATH;
  if (executablePath === undefined)
    throw new Error("CHROME_PATH is not set. Run the tests with `npm test`, which finds Chromium.");
  browser = await chromium.launch({
    executablePath,
    // Chromium cannot sandbox itself for root; the only pages it opens are ours.
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
  });
});
afterAll(() => browser?.close());

it("the reference page shows what the API can be asked, and asks no other host for anything", async () => {
  const { url } = edge.current();
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  const complaints: string[] = [];
  const hosts = new Set<string>();
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("request", (request) => /^https?:/.test(request.url()) && hosts.add(new URL(request.url()).origin));

  await page.goto(`${url}/reference`, { waitUntil: "commit" });
  await page.getByRole("heading", { name: "Attune", exact: true }).waitFor({ timeout: 90_000 });
  for (const room of Object.keys(ROOMS)) {
    await page
      .getByRole("link", { name: room, exact: true })
      .or(page.getByRole("button", { name: room }))
      .first()
      .waitFor();
  }
  await page.getByText("/v1/chat/completions").first().waitFor();
  expect([...hosts]).toEqual([url]);
  expect(complaints).toEqual([]);
});
