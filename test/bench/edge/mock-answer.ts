import type { ServerResponse } from "node:http";
import { usageOf } from "../../../schema/api/chat.ts";
import { DONE_LINE, formatFrame } from "../../../schema/wire/frames.ts";
import { COMPLETION_TOKENS_HEADER, type GenerateRequest, PROMPT_TOKENS_HEADER } from "../../../schema/wire/generate.ts";
import type { MockRun, MockRuns } from "./mock-runs.ts";
import { deltaText, dueAt } from "./script.ts";

type Form = {
  stream: boolean;
  includeUsage: boolean;
  model: string;
  /** The request in the worker protocol; `null` in OpenAI's. */
  worker: GenerateRequest | null;
};

const CREATED = 1_700_000_000;

/** Answers as the run's script says, in one of the two protocols; counts each delta where it is written. */
export function answerRun(runs: MockRuns, run: MockRun, form: Form, response: ServerResponse): void {
  response.once("close", () => runs.end(run, "aborted"));
  if (form.stream) streamRun(runs, run, form, response);
  else answerWhole(runs, run, form, response);
}

const idOf = ({ worker }: Form) => worker?.generation ?? "chatcmpl-mock";
const echoOf = ({ worker }: Form) => (worker === null ? {} : { steer: worker.steering });

function answerWhole(runs: MockRuns, run: MockRun, form: Form, response: ServerResponse): void {
  const { script, seen } = run;
  const content = Array.from({ length: script.deltas }, (_, index) => deltaText(index)).join("");
  runs.wrote(run, script.deltas);
  const usage = usageOf(seen.promptTokens, seen.completionTokens);
  const choices = [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }];
  const kind = { id: idOf(form), object: "chat.completion", created: CREATED, model: form.model };
  const body = Buffer.from(JSON.stringify({ ...kind, choices, usage, ...echoOf(form) }));
  response.writeHead(200, {
    "content-type": "application/json",
    "content-length": body.length,
    ...(form.worker !== null && {
      [PROMPT_TOKENS_HEADER]: String(seen.promptTokens),
      [COMPLETION_TOKENS_HEADER]: String(seen.completionTokens),
    }),
  });
  response.end(body);
  runs.end(run, "completed");
}

/** Deltas that are due are written; a late timer catches up, so the pace of a stream does not depend on how many there are. */
function streamRun(runs: MockRuns, run: MockRun, form: Form, response: ServerResponse): void {
  const { script, seen } = run;
  const began = performance.now();
  const kind = { id: idOf(form), object: "chat.completion.chunk", created: CREATED, model: form.model };
  const frame = (choices: object[], more: object = {}) => {
    const data = { ...kind, choices, ...more };
    if (form.worker === null) return formatFrame(data);
    const generation = form.worker.generation;
    return formatFrame(data, { generation, sequence: sequence++, completionTokens: seen.completionTokens });
  };
  let sequence = 0;
  let timer: NodeJS.Timeout | undefined;
  run.stop = () => {
    clearTimeout(timer);
    if (run.seen.state === "aborted") response.destroy();
  };

  const writeDue = (): void => {
    const elapsed = performance.now() - began;
    while (seen.completionTokens < script.deltas && dueAt(script, seen.completionTokens) <= elapsed) {
      const content = deltaText(seen.completionTokens);
      runs.wrote(run, 1);
      response.write(frame([{ index: 0, delta: { content }, finish_reason: null }]));
    }
    if (seen.completionTokens < script.deltas) {
      timer = setTimeout(writeDue, Math.max(0, began + dueAt(script, seen.completionTokens) - performance.now()));
      return;
    }
    const usage = form.includeUsage ? frame([], { usage: usageOf(seen.promptTokens, seen.completionTokens) }) : "";
    const finish = frame([{ index: 0, delta: {}, finish_reason: "stop" }], echoOf(form));
    response.end(`${finish}${usage}${DONE_LINE}\n\n`);
    runs.end(run, "completed");
  };

  response.writeHead(200, {
    "content-type": "text/event-stream",
    ...(form.worker !== null && { [PROMPT_TOKENS_HEADER]: String(seen.promptTokens) }),
  });
  // Both protocols: on admission, before any work.
  response.flushHeaders();
  const role = { role: "assistant", content: "" };
  if (form.worker === null) response.write(frame([{ index: 0, delta: role, finish_reason: null }]));
  else response.write(": admitted\n\n");
  writeDue();
}
