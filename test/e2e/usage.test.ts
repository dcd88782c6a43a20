import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { pageSchema } from "../../schema/api/admin.ts";
import { usageEntrySchema, usageGroupSchema } from "../../schema/api/usage.ts";
import { repository } from "../../scripts/stack/paths.ts";
import { ENDLESS, FIVE, tinyStack } from "./tiny-stack.ts";

const stack = tinyStack();
const messages = [{ role: "user" as const, content: "hello" }];

async function ledger() {
  const url = `${stack.baseURL()}/usage/generations?limit=100`;
  const response = await fetch(url, { headers: { authorization: `Bearer ${stack.key()}` } });
  return pageSchema(usageEntrySchema).parse(await response.json()).data;
}

/** Prints what a project used, as a person reads it. */
async function attune(...args: string[]): Promise<unknown> {
  const command = ["scripts/attune.ts", "--state-directory", stack.stateDirectory, "usage", ...args];
  const { stdout } = await promisify(execFile)(process.execPath, [...command, "--project", stack.project()], {
    cwd: repository,
  });
  return JSON.parse(stdout);
}

describe("the ledger of the whole stack", () => {
  it("equals what the worker generated, with a third of the answers broken off, and the command line sums it", async () => {
    const client = stack.client();
    await Promise.all(
      Array.from({ length: 4 }, async () => {
        await client.chat.completions.create({ model: "tiny", messages, ...FIVE });
        for await (const _ of await client.chat.completions.create({ model: "tiny", messages, stream: true, ...FIVE }));
        const endless = { model: "tiny", messages, stream: true as const, max_tokens: 450, ...ENDLESS };
        const answer = await client.chat.completions.create(endless);
        for await (const chunk of answer) if (chunk.choices[0]?.delta.content) break;
        answer.controller.abort();
      }),
    );
    await expect.poll(async () => (await ledger()).length, { timeout: 20_000 }).toBe(12);
    const rows = await ledger();
    const generated = rows.reduce((sum, { usage }) => sum + usage.completion_tokens, 0);
    expect(rows.every(({ usage_known }) => usage_known)).toBe(true);
    const ended = (wanted: string) => rows.filter(({ state }) => state === wanted).length;
    expect(generated).toBe(await stack.generatedTokens());

    const [sum] = z.array(usageGroupSchema).parse(await attune("sum"));
    expect(sum).toMatchObject({
      id: "all",
      generations: { completed: ended("completed"), cancelled: ended("cancelled"), failed: 0 },
      usage: { completion_tokens: generated },
    });
    expect(await attune("sum", "--by", "model")).toMatchObject([{ ...sum, id: "tiny" }]);
    expect(await attune("list", "--limit", "3")).toHaveLength(3);
  });
});
