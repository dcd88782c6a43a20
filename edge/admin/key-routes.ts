import { drizzle } from "drizzle-orm/d1";
import { type Context, Hono } from "hono";
import { pageQuerySchema } from "../../schema/api/admin.ts";
import { type Key, keyCreateSchema, keyRotateSchema, keyUpdateSchema, misfitOf } from "../../schema/api/keys.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import { parse, parseBody } from "../body.ts";
import type { Edge } from "../environment.ts";
import { authorOf } from "./author.ts";
import { KeyStore } from "./key-store.ts";

const nowInSeconds = () => Math.floor(Date.now() / 1000);

function storeOf(c: Context<Edge, "/:project/keys">): KeyStore {
  return new KeyStore(drizzle(c.env.DB), c.req.param("project"), c.env.KEY_PEPPER, authorOf(c));
}

async function findKey(c: Context<Edge, "/:project/keys/:key">): Promise<Key> {
  const { project, key: id } = c.req.param();
  const key = await storeOf(c).find(id);
  if (key !== null) return key;
  throw new AttuneError(
    "not_found",
    `There is no key ${id} in this project. GET /admin/v1/projects/${project}/keys lists them.`,
  );
}

/** A key that may still be changed. */
async function findLiveKey(c: Context<Edge, "/:project/keys/:key">): Promise<Key> {
  const key = await findKey(c);
  if (key.revoked_at === null) return key;
  throw new AttuneError("conflict", "The key was revoked, and stays so. Create a new one.");
}

const changedMeanwhile = () =>
  new AttuneError(
    "conflict",
    "Somebody else changed the key meanwhile. Read it again, and repeat the change on what it is now.",
    {
      param: "version",
    },
  );

function checkFuture(expiresAt: number | null | undefined): void {
  if (expiresAt == null || expiresAt > nowInSeconds()) return;
  throw new AttuneError("invalid_request", "expires_at: must lie in the future, in Unix seconds", {
    param: "expires_at",
  });
}

/** Keys of a project: create, list, read, update, rotate, revoke. */
export const keyRoutes = new Hono<Edge>()
  .post("/:project/keys", async (c) => {
    const settings = await parseBody(keyCreateSchema, c.req.raw);
    checkFuture(settings.expires_at);
    return c.json(await storeOf(c).create(settings), 201);
  })
  .get("/:project/keys", async (c) => {
    return c.json(await storeOf(c).list(parse(pageQuerySchema, c.req.query())));
  })
  .get("/:project/keys/:key", async (c) => c.json(await findKey(c)))
  .patch("/:project/keys/:key", async (c) => {
    const { version, ...settings } = await parseBody(keyUpdateSchema, c.req.raw);
    checkFuture(settings.expires_at);
    const key = await findLiveKey(c);
    const misfit = misfitOf(key.kind, {
      scopes: settings.scopes ?? key.scopes,
      origins: settings.origins ?? key.origins,
    });
    if (misfit !== null) {
      throw new AttuneError("invalid_request", `${misfit.field}: ${misfit.message}`, { param: misfit.field });
    }
    const updated = await storeOf(c).update(key.id, version, settings);
    if (updated === null) throw changedMeanwhile();
    return c.json(updated);
  })
  .post("/:project/keys/:key/rotate", async (c) => {
    const { overlap_seconds: overlap } = await parseBody(keyRotateSchema, c.req.raw);
    const key = await findLiveKey(c);
    const now = nowInSeconds();
    if (overlap > 0 && key.replaced_works_until !== null && key.replaced_works_until > now) {
      throw new AttuneError(
        "conflict",
        `The last rotation is not over: the secret it replaced works until ${new Date(key.replaced_works_until * 1000).toISOString()}. ` +
          "Wait, or rotate with overlap_seconds 0, which ends all earlier secrets at once.",
        { param: "overlap_seconds" },
      );
    }
    const rotated = await storeOf(c).rotate(key.id, key.version, overlap, now);
    if (rotated === null) throw changedMeanwhile();
    return c.json(rotated);
  })
  .post("/:project/keys/:key/revoke", async (c) => {
    const key = await findKey(c);
    // Where somebody else revoked it meanwhile, it is revoked all the same.
    return c.json((await storeOf(c).revoke(key.id)) ?? (await findKey(c)));
  });
