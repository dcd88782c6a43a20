import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { RateLimitError } from "openai";
import { describe, expect, it } from "vitest";
import { runningStack } from "./running-stack.ts";

const stack = runningStack();

/** Not every machine has it; the same is tested through the openai client. */
const hasCurl = spawnSync("curl", ["--version"]).status === 0;

const LONG = {
  model: "smollm2-135m",
  messages: [{ role: "user" as const, content: "Write a very long story about a lighthouse." }],
  temperature: 0,
  max_tokens: 400,
  stream: true as const,
};

const RUNNING = 'vllm:num_requests_running{model_name="smollm2-135m",engine="0"}';
const ABORTED = 'vllm:request_success_total{model_name="smollm2-135m",engine="0",finished_reason="abort"}';
const GENERATED = 'vllm:generation_tokens_total{model_name="smollm2-135m",engine="0"}';

describe("a client that goes away", () => {
  async function expectFreed(abortedBefore: number, generatedBefore: number) {
    await expect.poll(() => stack.metric(ABORTED), { timeout: 5000, interval: 50 }).toBe(abortedBefore + 1);
    expect(await stack.metric(RUNNING)).toBe(0);
    expect((await stack.metric(GENERATED)) - generatedBefore).toBeLessThan(LONG.max_tokens);
  }

  it("frees its row when the openai client aborts", async () => {
    const [aborted, generated] = [await stack.metric(ABORTED), await stack.metric(GENERATED)];
    const answer = await stack.client().chat.completions.create(LONG);
    for await (const chunk of answer) {
      if (chunk.choices[0]?.delta.content) break;
    }
    answer.controller.abort();
    await expectFreed(aborted, generated);
  });

  it.runIf(hasCurl)("frees its row when curl is killed in the middle of a stream", async () => {
    const [aborted, generated] = [await stack.metric(ABORTED), await stack.metric(GENERATED)];
    const { url, key } = stack.current();
    const headers = [`Authorization: Bearer ${key}`, "Content-Type: application/json"].flatMap((header) => [
      "-H",
      header,
    ]);
    const args = ["-sN", `${url}/v1/chat/completions`, ...headers, "-d", JSON.stringify(LONG)];
    const curl = spawn("curl", args, { stdio: ["ignore", "pipe", "ignore"] });
    await once(curl.stdout, "data");
    await expect.poll(() => stack.metric(RUNNING), { timeout: 5000, interval: 20 }).toBe(1);
    curl.kill("SIGKILL");
    await expectFreed(aborted, generated);
  });

  it("is charged for what was really generated, and for nothing that was not", async () => {
    const key = await stack.current().addKey({ requestsPerMinute: 100, tokensPerMinute: 5000 });
    const remaining = async () => {
      const response = await stack.send("GET", "/v1/presets", undefined, key);
      return Number(response.headers.get("x-ratelimit-remaining-tokens"));
    };
    const answer = await stack.client(key).chat.completions.create({ ...LONG, max_tokens: 4000 });
    let tokens = 0;
    for await (const chunk of answer) {
      if (chunk.choices[0]?.delta.content) tokens += 1;
      if (tokens === 10) break;
    }
    answer.controller.abort();
    // 4000 were reserved; what comes back is all but the prompt and the few tokens until the row was freed.
    await expect.poll(remaining, { timeout: 5000, interval: 50 }).toBeGreaterThan(4500);
    expect(await remaining()).toBeLessThan(5000 - 40 - 10);
  });
});

describe("requests at the same time", () => {
  it("decode in one batch", async () => {
    const together = async () =>
      (await stack.metric('attune:decode_batch_rows_bucket{le="+Inf",model_name="smollm2-135m",engine="0"}')) -
      (await stack.metric('attune:decode_batch_rows_bucket{le="1",model_name="smollm2-135m",engine="0"}'));
    const before = await together();
    const ask = async () => {
      let text = "";
      for await (const chunk of await stack.client().chat.completions.create({ ...LONG, max_tokens: 60 })) {
        text += chunk.choices[0]?.delta.content ?? "";
      }
      return text;
    };
    const [first, second] = await Promise.all([ask(), ask()]);
    expect((await together()) - before).toBeGreaterThan(30);
    expect(first.length).toBeGreaterThan(100);
    expect(second.length).toBeGreaterThan(100);
  });
});

describe("a key's limits", () => {
  const ask = (key: string, max_tokens = 2) =>
    stack
      .client(key)
      .chat.completions.create({ ...LONG, stream: false, max_tokens })
      .withResponse();
  const refusal = async (work: Promise<unknown>): Promise<RateLimitError> => {
    const thrown = await work.then(
      () => null,
      (error: unknown) => error,
    );
    if (thrown instanceof RateLimitError) return thrown;
    throw new Error(`Expected a rate limit error, got ${thrown}`);
  };

  it("refuse a request too many, and say when to come again", async () => {
    const key = await stack.current().addKey({ requestsPerMinute: 2, tokensPerMinute: 100_000 });
    const { response } = await ask(key);
    expect(response.headers.get("x-ratelimit-limit-requests")).toBe("2");
    expect(response.headers.get("x-ratelimit-remaining-requests")).toBe("1");
    await ask(key);
    const error = await refusal(ask(key));
    expect(error.code).toBe("rate_limit_exceeded");
    const seconds = Number(error.headers?.get("retry-after"));
    expect(seconds).toBeGreaterThan(40);
    expect(seconds).toBeLessThanOrEqual(60);
  });

  it("refuse tokens too many, counting what was used and not what was reserved", async () => {
    const key = await stack.current().addKey({ requestsPerMinute: 100, tokensPerMinute: 700 });
    const { data, response } = await ask(key, 500);
    expect(response.status).toBe(200);
    const used = data.usage?.total_tokens ?? 0;
    const left = await stack.send("GET", "/v1/presets", undefined, key);
    expect(left.headers.get("x-ratelimit-remaining-tokens")).toBe(String(700 - used));
    await refusal(ask(key, 600));
  });
});
