import { open } from "node:fs/promises";
import { dirname } from "node:path";
import { BrokenConnection, fetchFailure, HttpError, reasonOf } from "./http-error.ts";
import { fileSize, onDisk } from "./part-file.ts";

export type DownloadOptions = {
  /** Size of the whole file in bytes. */
  bytes: number;
  /** Milliseconds until the answer's headers, and between two chunks of its body. */
  timeouts: { headers: number; stall: number };
  /** Sent as a bearer token to the address's own origin; `fetch` takes it away from redirects to any other. */
  token?: string | null;
  signal: AbortSignal;
  /** @param received Bytes of the file so far, those of earlier runs included. */
  onReceived: (received: number) => void;
};

const DEFAULT_TIMEOUTS = { headers: 15_000, stall: 30_000 };

export { DEFAULT_TIMEOUTS };

/** Aborts where nothing happened for a while; each `touch` starts the wait anew. */
function watchdog() {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  return {
    signal: controller.signal,
    touch(milliseconds: number, reason: Error) {
      clearTimeout(timer);
      timer = setTimeout(() => controller.abort(reason), milliseconds);
    },
    /** Also lets go of a connection whose answer was not read to its end. */
    stop() {
      clearTimeout(timer);
      controller.abort();
    },
  };
}

/**
 * Where the server's bytes begin: at `offset` for the range we asked for, at 0 for the whole file, so that a server that
 * ignores Range, or sends another one, costs time and nothing else.
 *
 * @throws Error where the server sends no such file
 */
function startOf(response: Response, offset: number, bytes: number): number {
  if (response.status === 206) {
    const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get("content-range") ?? "") ?? [];
    if (Number(start) === offset && (total === "*" || Number(total) === bytes)) return offset;
    throw new Error(
      `the server sent ${response.headers.get("content-range")} when asked for bytes ${offset}- of ${bytes}`,
    );
  }
  if (response.status !== 200) throw new HttpError(response);
  const length = response.headers.get("content-length");
  if (length !== null && response.headers.get("content-encoding") === null && Number(length) !== bytes) {
    throw new Error(`the server's file has ${length} bytes, expected ${bytes}`);
  }
  return 0;
}

/**
 * Completes the file at `part` from `url`, going on after the bytes it already has.
 *
 * @throws HttpError where the server refuses
 * @throws BrokenConnection where it stops before the end
 * @throws Error with the reason where it cannot be reached or sends another file
 * @throws DiskError where the part cannot be written
 */
export async function download(url: string, part: string, options: DownloadOptions): Promise<void> {
  const { bytes, timeouts, token, onReceived } = options;
  const offset = await fileSize(part);
  if (offset === bytes) return;
  const dog = watchdog();
  const signal = AbortSignal.any([dog.signal, options.signal]);
  const resume = offset > 0 && offset < bytes;
  try {
    dog.touch(timeouts.headers, new Error(`no answer within ${timeouts.headers / 1000} s`));
    const headers = {
      "accept-encoding": "identity",
      ...(resume ? { range: `bytes=${offset}-` } : {}),
      ...bearer(token),
    };
    const response = await fetch(url, { signal, headers }).catch((error: unknown) => {
      throw fetchFailure(error);
    });
    let received = startOf(response, resume ? offset : 0, bytes);
    if (response.body === null) throw new Error("the server sent no body");
    const directory = dirname(part);
    const file = await onDisk(directory, open(part, received > 0 ? "a" : "w"));
    try {
      onReceived(received);
      const stalled = new BrokenConnection(`no data for ${timeouts.stall / 1000} s`);
      dog.touch(timeouts.stall, stalled);
      for await (const chunk of response.body) {
        if (received + chunk.length > bytes) throw new Error(`the server sent more than the expected ${bytes} bytes`);
        await onDisk(directory, file.appendFile(chunk));
        received += chunk.length;
        onReceived(received);
        dog.touch(timeouts.stall, stalled);
      }
    } catch (error) {
      throw error instanceof TypeError ? new BrokenConnection(reasonOf(error), { cause: error }) : error;
    } finally {
      await file.close();
    }
    if (received < bytes) throw new BrokenConnection(`the connection ended after ${received} of ${bytes} bytes`);
  } finally {
    dog.stop();
  }
}

export const bearer = (token?: string | null) =>
  token === null || token === undefined ? {} : { authorization: `Bearer ${token}` };
