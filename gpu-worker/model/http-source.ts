import { DEFAULT_TIMEOUTS, download } from "./download.ts";
import { fileSize } from "./part-file.ts";
import { mayPass, PATIENCE, patiently } from "./patience.ts";
import type { FileSource } from "./pinned-file.ts";

type HttpSourceOptions = {
  token?: string | null;
  timeouts?: typeof DEFAULT_TIMEOUTS;
  patience?: typeof PATIENCE;
};

/** A file at an address. What fails in a way that may pass is tried again, as long as each round brings the file further. */
export function httpSource(url: string, options: HttpSourceOptions = {}): FileSource {
  const { token = null, timeouts = DEFAULT_TIMEOUTS, patience = PATIENCE } = options;
  return {
    name: url,
    async complete(part, { bytes }, onReceived, signal) {
      const round = () => download(url, part, { bytes, timeouts, token, onReceived, signal });
      for (;;) {
        const before = await fileSize(part);
        try {
          return await patiently(round, patience, signal);
        } catch (error) {
          const isFurther = (await fileSize(part)) > before;
          if (signal.aborted || !mayPass(error) || !isFurther) throw error;
        }
      }
    },
  };
}
