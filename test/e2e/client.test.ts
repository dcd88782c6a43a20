import { Attune, AttuneError } from "attune/client";
import { describe, expect, it } from "vitest";
import { ENDLESS, FIVE, tinyStack } from "./tiny-stack.ts";

const stack = tinyStack();
const client = () => new Attune({ apiKey: stack.key(), baseURL: stack.baseURL(), maxRetries: 0 });
const asked = { model: "tiny", messages: [{ role: "user" as const, content: "Hello" }] };

describe("the TypeScript client", () => {
  it("asks for an answer, which says how it was steered and what it became", async () => {
    const answer = await client().chat.create({
      ...{ ...asked, ...FIVE },
      steer: { attributes: { verbosity: 1 }, measure: true },
    });
    expect(answer.choices[0]?.message.content).toBe("aaaaa");
    expect(answer.steer).toMatchObject({ effective: { verbosity: 1 }, method: "label_line" });
    expect(answer.steer?.measured?.verbosity).toMatchObject({ value: 1, unit: "words" });
  });

  it("streams the same, with usage", async () => {
    const stream = await client().chat.stream({
      ...{ ...asked, ...FIVE },
      stream_options: { include_usage: true },
      steer: { attributes: { verbosity: 1 }, measure: true },
    });
    const texts: string[] = [];
    for await (const text of stream.texts()) texts.push(text);
    expect(texts.join("")).toBe("aaaaa");
    expect(stream).toMatchObject({
      text: "aaaaa",
      usage: { completion_tokens: 6 },
      id: expect.stringMatching(/^gen_/),
    });
    expect(stream.steer).toMatchObject({ effective: { verbosity: 1 }, measured: { verbosity: { level: 0 } } });
  });

  it("streams several answers side by side, each with its own steering", async () => {
    const stream = await client().chat.stream({
      ...{ ...asked, ...FIVE },
      steer: { fan_out: [{ verbosity: 0 }, { verbosity: 4 }] },
    });
    const { choices } = await stream.finished();
    expect(choices.map(({ text, steer }) => [text, steer?.effective.verbosity])).toEqual([
      ["aaaaa", 0],
      ["aaaaa", 4],
    ]);
  });

  it("cancels the generation whose loop is left", async () => {
    for await (const _ of await client().chat.stream({ ...asked, ...ENDLESS, max_tokens: 400 })) break;
    await expect.poll(stack.runningGenerations, { timeout: 10_000 }).toBe(0);
  });

  it("goes on with an answer that it left, where it was to be kept", async () => {
    const { chat, generations } = client();
    const stream = await chat.stream({ ...asked, ...FIVE, resumable: true });
    for await (const { choices } of stream) if (choices[0]?.delta.content) break;
    const { id, lastEventId, text } = stream;
    const rest = await generations.resume(id ?? "", lastEventId);
    expect(text + (await rest.finished()).text).toBe("aaaaa");
    expect(await generations.get(id ?? "")).toMatchObject({ state: "completed", usage: { completion_tokens: 6 } });
    expect(await generations.delete(id ?? "")).toMatchObject({ id, kept: null });
  });

  it("keeps presets, and answers with them", async () => {
    const { presets, chat } = client();
    const created = await presets.create({ slug: "tutor", bounds: { verbosity: { max: 2 } } });
    expect(created).toMatchObject({ slug: "tutor", version: 1 });
    const answer = await chat.create({ ...asked, ...FIVE, steer: { preset: "tutor", attributes: { verbosity: 4 } } });
    expect(answer.steer).toMatchObject({
      effective: { verbosity: 2 },
      clamped: [{ attribute: "verbosity", reason: "preset_max" }],
    });
    expect((await presets.list()).data.map(({ slug }) => slug)).toEqual(["tutor"]);
    expect(await presets.delete("tutor")).toMatchObject({ deleted: true });
  });

  it("measures and matches answers, and reads models and limits", async () => {
    const { attributes, models, limits } = client();
    const scored = await attributes.score({ answer: "One two three." });
    expect(scored.data[0]?.attributes.verbosity).toMatchObject({ value: 3 });
    const { steer } = await attributes.match({ example: "One two three." });
    expect(steer.attributes.verbosity).toBeDefined();
    expect((await models.list()).data[0]).toMatchObject({ id: "tiny", owned_by: "attune" });
    expect((await limits.check({ tokens: 10 })).allowed).toBe(true);
  });

  it("administers", async () => {
    const { url, adminToken } = stack.edge();
    const admin = new Attune({ apiKey: adminToken, baseURL: url });
    const project = await admin.request("post", "/admin/v1/projects", { body: { name: "Shop" } });
    const key = await admin.request("post", "/admin/v1/projects/{project}/keys", {
      path: { project: project.id },
      body: { name: "backend", scopes: ["models:read"] },
    });
    const limited = new Attune({ apiKey: key.secret, baseURL: url });
    expect((await limited.models.get("tiny")).id).toBe("tiny");
    const thrown = await limited.chat.create(asked).catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(AttuneError);
    expect(thrown).toMatchObject({ status: 403, code: "permission_denied", requestId: expect.any(String) });
  });
});
