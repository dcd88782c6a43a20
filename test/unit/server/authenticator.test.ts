import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Authenticator } from "../../../gpu-worker/server/authenticator.ts";
import { ReplayGuard } from "../../../gpu-worker/server/replay-guard.ts";
import { AttuneError } from "../../../schema/wire/errors.ts";
import { importSigningKey, SIGNATURE_WINDOW, signRequest } from "../../../schema/wire/signature.ts";

const OLD = "the secret that is on its way out";
const NEW = "the secret that is on its way in";
const CANCEL = { method: "POST", path: "/v1/generations/gen_00000001/cancel", body: "" };
const NOW = 1_700_000_000;

async function signed(secret: string, parts = CANCEL, at = NOW) {
  const headers = await signRequest(await importSigningKey(secret), parts, at);
  return { request: { method: parts.method, url: parts.path, headers }, body: parts.body };
}

/** Whether the request gets in. */
async function gets(authenticator: Authenticator, { request, body }: Awaited<ReturnType<typeof signed>>) {
  try {
    await authenticator.check(request, body);
    return true;
  } catch (error) {
    if (AttuneError.isInstance(error) && error.code === "invalid_signature") return false;
    throw error;
  }
}

describe("changing the secret", () => {
  it("shuts nobody out: old and new are both good until the old one is taken away", async () => {
    const steps: [accepted: string[], good: string[]][] = [
      [[OLD], [OLD]],
      [
        [OLD, NEW],
        [OLD, NEW],
      ],
      [
        [NEW, OLD],
        [OLD, NEW],
      ],
      [[NEW], [NEW]],
    ];
    for (const [accepted, good] of steps) {
      const worker = new Authenticator(accepted, () => NOW);
      for (const secret of [OLD, NEW]) expect(await gets(worker, await signed(secret))).toBe(good.includes(secret));
    }
  });
});

describe("a signed request", () => {
  it("is taken once, a cancel like any other, also by a worker that accepts two secrets", async () => {
    const worker = new Authenticator([OLD, NEW], () => NOW);
    const request = await signed(NEW);
    expect(await gets(worker, request)).toBe(true);
    expect(await gets(worker, request)).toBe(false);
    expect(await gets(worker, await signed(NEW))).toBe(true);
  });

  it("is refused from the window's end on, and so never taken again when its id is forgotten", async () => {
    let now = NOW;
    const worker = new Authenticator([NEW], () => now);
    const request = await signed(NEW);
    expect(await gets(worker, request)).toBe(true);
    for (const later of [1, SIGNATURE_WINDOW, SIGNATURE_WINDOW + 1, 3 * SIGNATURE_WINDOW]) {
      now = NOW + later;
      expect(await gets(worker, request)).toBe(false);
    }
  });

  it("is bound to what it asks: another path, method, body, id or time is another request", async () => {
    const worker = new Authenticator([NEW], () => NOW);
    const { request, body } = await signed(NEW);
    const { headers } = request;
    const forged = [
      { request: { ...request, url: "/v1/generations/gen_00000002/cancel" }, body },
      { request: { ...request, method: "GET" }, body },
      { request, body: "{}" },
      { request: { ...request, headers: { ...headers, "webhook-id": "msg_other" } }, body },
      { request: { ...request, headers: { ...headers, "webhook-timestamp": String(NOW + 1) } }, body },
      { request: { ...request, headers: { ...headers, "webhook-signature": "v1,!" } }, body },
      { request: { ...request, headers: { ...headers, "webhook-signature": "" } }, body },
    ];
    for (const attempt of forged) expect(await gets(worker, attempt)).toBe(false);
    expect(await gets(worker, { request, body })).toBe(true);
  });

  it("is refused with an id that would take much memory to remember", async () => {
    const id = "a".repeat(65);
    const key = await importSigningKey(NEW);
    const content = `${id}.${NOW}.${CANCEL.method}.${CANCEL.path}.`;
    const mac = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(content));
    const headers = {
      "webhook-id": id,
      "webhook-timestamp": String(NOW),
      "webhook-signature": `v1,${Buffer.from(mac).toString("base64")}`,
    };
    const worker = new Authenticator([NEW], () => NOW);
    const request = { method: CANCEL.method, url: CANCEL.path, headers };
    expect(await gets(worker, { request, body: "" })).toBe(false);
  });
});

describe("the memory of what was accepted", () => {
  it("takes nothing twice, however full it is, in whatever order things come and whichever way the clock goes", () => {
    const arrival = fc.record({
      id: fc.integer({ min: 0, max: 30 }).map(String),
      offset: fc.integer({ min: -SIGNATURE_WINDOW, max: SIGNATURE_WINDOW }),
      tick: fc.integer({ min: -400, max: 400 }),
    });
    fc.assert(
      fc.property(fc.array(arrival, { maxLength: 100 }), fc.integer({ min: 1, max: 10 }), (arrivals, capacity) => {
        const guard = new ReplayGuard(capacity);
        const taken = new Set<string>();
        let now = NOW;
        for (const { id, offset, tick } of arrivals) {
          now += tick;
          // A request is its id and its timestamp: both are signed.
          const request = `${id} ${NOW + offset}`;
          if (Math.abs(now - (NOW + offset)) > SIGNATURE_WINDOW) continue;
          const accepted = guard.accept(id, NOW + offset, now);
          if (taken.has(request)) expect(accepted).toBe(false);
          if (accepted) taken.add(request);
        }
      }),
    );
  });

  it("takes every new request while it has room", () => {
    const guard = new ReplayGuard(1000);
    for (let index = 0; index < 5000; index++) {
      expect(guard.accept(`id ${index}`, NOW + index, NOW + index)).toBe(true);
    }
  });
});
