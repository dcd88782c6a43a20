import { execFile } from "node:child_process";
import { createServer } from "node:net";
import { promisify } from "node:util";
import { StackError } from "./stack-error.ts";

/**
 * Fails where the port cannot be had, before anything slow was done for it.
 *
 * @param port 0 is always free
 * @throws StackError naming, where the system tells, the program that has it
 */
export async function checkPortFree(port: number): Promise<void> {
  const error = await tryListen(port);
  if (error === null) return;
  if (error.code === "EADDRINUSE") {
    const owner = await findOwner(port);
    throw new StackError(
      `Port ${port} is taken${owner === null ? "" : ` by ${owner}`}. Stop that program or choose another port: ` +
        `npm start -- --port ${port + 1 > 65535 ? 8788 : port + 1}`,
    );
  }
  if (error.code === "EACCES") {
    throw new StackError(
      `Port ${port} may not be opened by this user. Choose one above 1023: npm start -- --port 8787`,
    );
  }
  throw error;
}

function tryListen(port: number): Promise<NodeJS.ErrnoException | null> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", resolve);
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => server.close(() => resolve(null)));
  });
}

/** What lsof or ss call the listener, as `node (process 123)`. Neither need be installed nor allowed to see it. */
async function findOwner(port: number): Promise<string | null> {
  const [lsof, ss] = await Promise.all([
    outputOf("lsof", ["-nP", `-iTCP:${port}`, "-sTCP:LISTEN", "-Fpc"]),
    outputOf("ss", ["-Hltnp", `sport = :${port}`]),
  ]);
  const fromLsof = /^p(?<pid>\d+)\nc(?<name>.+)$/m.exec(lsof)?.groups;
  const fromSs = /users:\(\("(?<name>[^"]+)",pid=(?<pid>\d+)/.exec(ss)?.groups;
  const owner = fromLsof ?? fromSs;
  return owner === undefined ? null : `${owner.name} (process ${owner.pid})`;
}

async function outputOf(command: string, args: string[]): Promise<string> {
  try {
    return (await promisify(execFile)(command, args, { timeout: 3000 })).stdout;
  } catch {
    return "";
  }
}
