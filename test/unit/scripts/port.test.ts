import { once } from "node:events";
import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { checkPortFree } from "../../../scripts/stack/port.ts";

describe("a taken port", () => {
  it("is told with the way out", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : expect.fail("no port");
    await expect(checkPortFree(port)).rejects.toThrow(
      new RegExp(`^Port ${port} is taken.* choose another port: npm start -- --port \\d+$`),
    );
    server.close();
    await once(server, "close");
    await expect(checkPortFree(port)).resolves.toBeUndefined();
  });
});
