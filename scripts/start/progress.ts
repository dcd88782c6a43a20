import { styleText } from "node:util";
import yoctoSpinner from "yocto-spinner";
import type { Progress } from "../stack/progress.ts";

const BAR_WIDTH = 24;

/** Without a terminal to redraw, one line for each of these shares is enough. */
const PLAIN_SHARE = 0.25;

const percent = (fraction: number) => `${Math.floor(fraction * 100)} %`;

function bar(fraction: number): string {
  const full = Math.round(fraction * BAR_WIDTH);
  return `${"█".repeat(full)}${"░".repeat(BAR_WIDTH - full)} ${percent(fraction)}`;
}

const secondsSince = (start: number) => `${((performance.now() - start) / 1000).toFixed(1)} s`;

const notice = (text: string) => console.error(text);

/** A spinner for each step, with a bar where the step tells how far it is. */
const redrawn: Progress = {
  async step(title, work) {
    const start = performance.now();
    // Signals are the stack's business: the spinner would end the process at once.
    const spinner = yoctoSpinner({ text: title, handleSignals: false }).start();
    let shown = "";
    try {
      const result = await work((fraction) => {
        if (bar(fraction) === shown) return;
        shown = bar(fraction);
        spinner.text = `${title} ${shown}`;
      });
      spinner.success(`${title} ${styleText("dim", secondsSince(start), { stream: process.stderr })}`);
      return result;
    } catch (error) {
      spinner.error(title);
      throw error;
    }
  },
  notice,
};

const plain: Progress = {
  async step(title, work) {
    const start = performance.now();
    let next = PLAIN_SHARE;
    const result = await work((fraction) => {
      if (fraction < next || fraction >= 1) return;
      next = fraction + PLAIN_SHARE;
      console.error(`${title} ${percent(fraction)}`);
    });
    console.error(`${title} ${secondsSince(start)}`);
    return result;
  },
  notice,
};

/** Steps on stderr: stdout is for what was asked for. */
export const terminalProgress = process.stderr.isTTY ? redrawn : plain;
