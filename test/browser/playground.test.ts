import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ATTRIBUTES } from "../../schema/attributes.ts";
import { runningStack } from "../e2e/running-stack.ts";

const stack = runningStack();

let browser: Browser;
let page: Page;
const complaints: string[] = [];

beforeAll(async () => {
  const executablePath = process.env.CHROME_PATH;
  if (executablePath === undefined)
    throw new Error("CHROME_PATH is not set. Run the tests with `npm test`, which finds Chromium.");
  browser = await chromium.launch({
    executablePath,
    // Chromium cannot sandbox itself for root; the only pages it opens are ours.
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
  });
  page = await browser.newPage();
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  const { url, key } = stack.current();
  await page.goto(`${url}/#key=${key}`);
});
afterAll(() => browser?.close());

describe("the playground", () => {
  it("shows a labelled slider for each attribute", async () => {
    for (const name of ATTRIBUTES) {
      const slider = page.getByRole("slider", { name });
      await slider.waitFor();
      expect([await slider.getAttribute("min"), await slider.getAttribute("max")]).toEqual(["0", "4"]);
    }
    expect(await page.getByRole("slider").count()).toBe(9);
  });

  it("streams a steered answer to what is typed into the first text box and sent with Enter", async () => {
    await page.getByRole("slider", { name: "verbosity" }).fill("1");
    const prompt = page.getByRole("textbox").first();
    await prompt.fill("What is the capital of France?");
    await prompt.press("Enter");
    const answer = page.getByRole("log");
    await expect.poll(() => answer.innerText(), { timeout: 20_000 }).toContain("Paris");
    await expect.poll(() => page.getByText("verbosity 1").count(), { timeout: 20_000 }).toBe(1);
    expect(await page.getByText(/\d+ in, \d+ out/).count()).toBe(1);
  });

  it("stops an answer that is on its way, for the worker too", async () => {
    await page.getByRole("slider", { name: "verbosity" }).fill("4");
    await page.getByRole("textbox").first().fill("Write a very long story about a lighthouse.");
    await page.getByRole("button", { name: "Send" }).click();
    await expect
      .poll(async () => (await page.getByRole("log").innerText()).length, { timeout: 20_000 })
      .toBeGreaterThan(20);
    await page.getByRole("button", { name: "Stop" }).click();
    await expect
      .poll(() => stack.metric('vllm:num_requests_running{model_name="smollm2-135m",engine="0"}'), { timeout: 5000 })
      .toBe(0);
    expect(
      await stack.metric('vllm:request_success_total{model_name="smollm2-135m",engine="0",finished_reason="abort"}'),
    ).toBe(1);
    const stopped = await page.getByRole("log").innerText();
    expect(stopped.length).toBeGreaterThan(20);
    expect(await page.getByRole("alert").isVisible()).toBe(false);
  });

  it("has an icon, and gives the browser nothing to complain about", async () => {
    const icon = await page.locator("link[rel=icon]").getAttribute("href");
    expect((await page.request.get(new URL(icon ?? "", stack.current().url).href)).status()).toBe(200);
    expect(complaints).toEqual([]);
  });

  it("asks for a key where it has none", async () => {
    const other = await (await browser.newContext()).newPage();
    await other.goto(stack.current().url);
    await other.getByLabel("API key").waitFor();
    await other.getByLabel("API key").fill(stack.current().key);
    await other.getByRole("button", { name: "Use this key" }).click();
    await other.getByRole("slider", { name: "humor" }).waitFor();
  });
});
