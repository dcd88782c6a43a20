import { spawn } from "node:child_process";
import { delimiter, dirname, join } from "node:path";
import { BootstrapError } from "./error.mjs";

const FORWARDED = /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"]);

/** One Ctrl-C reaches this process twice, from the terminal and from npm; a person's second press comes later than this. */
const SAME_SIGNAL_MS = 300;

const PARENT_POLL_MS = 500;

const hasProcessGroups = process.platform !== "win32";

/**
 * Runs Node with `args` in a process group of its own, so that a signal reaches it exactly once, through here; ends as it ends,
 * and leaves nothing of its group behind. The IPC channel lets the child notice when this process is killed.
 *
 * @param {string} node
 * @param {string[]} args
 * @param {string} root
 * @returns {Promise<void>}
 */
export function launch(node, args, root) {
  const child = spawn(node, args, {
    stdio: ["inherit", "inherit", "inherit", "ipc"],
    detached: hasProcessGroups,
    // What the script starts finds the same Node, and the tools that were installed with it.
    env: {
      ...process.env,
      PATH: [dirname(node), join(root, "node_modules", ".bin"), process.env.PATH].join(delimiter),
    },
  });

  const lastSent = new Map();
  for (const signal of FORWARDED) {
    process.on(signal, () => {
      const now = Date.now();
      if (now - (lastSent.get(signal) ?? 0) < SAME_SIGNAL_MS) return;
      lastSent.set(signal, now);
      child.kill(signal);
    });
  }

  const watch = whenNpmIsGone(() => child.kill("SIGTERM"));
  return new Promise((resolve, reject) => {
    child.on("error", (error) => reject(new BootstrapError(`${node} could not be started: ${error.message}`)));
    child.on("exit", (code, signal) => {
      clearInterval(watch);
      endGroup(child.pid);
      for (const forwarded of FORWARDED) process.removeAllListeners(forwarded);
      if (signal !== null) process.kill(process.pid, signal);
      process.exitCode = code ?? 1;
      resolve();
    });
  });
}

/**
 * npm passes SIGTERM on to the shell it runs a script in, which ends without telling anyone: the only sign of it here is that the
 * parent, that shell, is gone.
 *
 * @param {() => void} end
 */
function whenNpmIsGone(end) {
  if (process.env.npm_lifecycle_event === undefined) return undefined;
  const shell = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === shell) return;
    clearInterval(watch);
    end();
  }, PARENT_POLL_MS);
  return watch;
}

/**
 * Ends what a child that was killed could not end itself, such as the Workers runtime, which outlives its parent.
 *
 * @param {number | undefined} leader
 */
function endGroup(leader) {
  if (leader === undefined || !hasProcessGroups) return;
  try {
    process.kill(-leader, "SIGKILL");
  } catch {
    // The group is empty: the usual case.
  }
}
