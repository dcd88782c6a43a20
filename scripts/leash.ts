/**
 * Ends this process as SIGTERM would when the one that started it with an IPC channel is gone: killed, it cannot pass on a signal.
 */
export function endWithParent(): void {
  process.once("disconnect", () => process.kill(process.pid, "SIGTERM"));
  // The listener must not keep a finished process alive.
  process.channel?.unref();
}
