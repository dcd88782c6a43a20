import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { seededRandom } from "../../gpu-worker/engine/random.ts";
import { runReplyStep } from "../../gpu-worker/runtime/reply-step.ts";
import type { TrainingSession } from "../../gpu-worker/runtime/training-session.ts";
import { initialiseParameters } from "../../gpu-worker/steerlm/optimiser/initial-parameters.ts";
import { RunDirectory } from "../../gpu-worker/steerlm/training/run-directory.ts";
import { type MicroBatch, type StepReport, type TrainOptions, train } from "../../gpu-worker/steerlm/training/train.ts";
import { PYTORCH } from "../fixtures/pytorch-gradients.ts";
import { replyTrainer } from "../fixtures/tiny-trainer.ts";

const STEPS = 8;

let directory: string;
let session: TrainingSession;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "attune-train-"));
  session = await replyTrainer();
  initialiseParameters(session.parameters, seededRandom(1));
});
afterEach(async () => {
  session.release();
  await rm(directory, { recursive: true });
});

/** A step of two micro-batches, of other rows for each step. */
function* batches(step: number): Generator<MicroBatch> {
  const { rows } = PYTORCH.reply.batch;
  for (const first of [step % 2, 2 + (step % 3)]) {
    const chosen = rows.slice(first, first + 1);
    const tokens = chosen.reduce((sum, row) => sum + row.tokens.length, 0);
    yield {
      tokens,
      run: () => {
        const { likelihood } = runReplyStep(session, PYTORCH.config, { rows: chosen, pairs: [] });
        return { nll: { sum: likelihood, count: 1 } };
      },
    };
  }
}

/** Trains in a directory below, from new parameters where nothing is gone on with. */
async function trained(name: string, overrides: Partial<TrainOptions> = {}, of = batches) {
  using run = await RunDirectory.open(join(directory, name), { resume: true });
  const reports: StepReport[] = [];
  const saved: number[] = [];
  const end = await train(
    {
      session,
      run,
      identity: { data: "rows" },
      schedule: { peak: 0.01, final: 0.001, warmUp: 2, steps: STEPS },
      optimiser: { beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weightDecay: 0.01 },
      clip: 1,
      checkpointMinutes: 1000,
      signal: new AbortController().signal,
      onStep: (report) => void reports.push(report),
      onCheckpoint: (step) => void saved.push(step),
      ...overrides,
    },
    of,
  );
  return { end, reports, saved, parameters: session.parameters.values.slice() };
}

/** What each step measured. */
async function historyOf(name: string) {
  const lines = (await readFile(join(directory, name, "history.jsonl"), "utf8")).trimEnd().split("\n");
  return lines.map((line) => {
    const { seconds: _, ...rest } = JSON.parse(line);
    return rest;
  });
}

function forget() {
  initialiseParameters(session.parameters, seededRandom(99));
}

describe("training", () => {
  it("lowers the loss, and says of each step what it measured", async () => {
    const { end, reports, saved } = await trained("whole");
    expect(end).toEqual({ step: STEPS, isFinished: true });
    expect(reports.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(reports.at(-1)?.running.nll).toBeLessThan(reports[0]?.running.nll ?? 0);
    expect(saved).toEqual([STEPS]);
    const history = await historyOf("whole");
    expect(history).toHaveLength(STEPS);
    expect(history[0]).toEqual({
      step: 1,
      nll: reports[0]?.measures.nll,
      learning_rate: reports[0]?.learningRate,
      gradient_norm: reports[0]?.gradientNorm,
      tokens: reports[0]?.tokens,
    });
  });

  it("ends, gone on with, with the parameters of a run that was never interrupted, to the last bit", async () => {
    const whole = await trained("whole");
    initialiseParameters(session.parameters, seededRandom(1));
    const abort = new AbortController();
    const parts = await trained("parts", {
      signal: abort.signal,
      onStep: ({ step }) => {
        if (step === 3) abort.abort();
      },
    });
    expect(parts.end).toEqual({ step: 3, isFinished: false });
    expect(parts.saved).toEqual([3]);
    forget();
    const rest = await trained("parts");
    expect(rest.parameters).toEqual(whole.parameters);
    expect(rest.reports.map(({ step }) => step)).toEqual([4, 5, 6, 7, 8]);
    expect(rest.reports.at(-1)?.running).toEqual(whole.reports.at(-1)?.running);
    expect(await historyOf("parts")).toEqual(await historyOf("whole"));
  });

  it("drops a step that was interrupted halfway, and does it again", async () => {
    const whole = await trained("whole");
    initialiseParameters(session.parameters, seededRandom(1));
    const abort = new AbortController();
    const { end } = await trained("parts", { signal: abort.signal }, function* (step) {
      for (const batch of batches(step)) {
        yield batch;
        if (step === 2) abort.abort();
      }
    });
    expect(end).toEqual({ step: 2, isFinished: false });
    forget();
    expect((await trained("parts")).parameters).toEqual(whole.parameters);
  });

  it("goes on from the last checkpoint where the process was killed after it", async () => {
    const whole = await trained("whole");
    initialiseParameters(session.parameters, seededRandom(1));
    const killed = trained("parts", {
      checkpointMinutes: 0,
      onStep: ({ step }) => {
        if (step === 5) throw new Error("killed");
      },
    });
    await expect(killed).rejects.toThrow("killed");
    forget();
    const rest = await trained("parts");
    expect(rest.reports[0]?.step).toBe(5);
    expect(rest.parameters).toEqual(whole.parameters);
    expect(await historyOf("parts")).toEqual(await historyOf("whole"));
  });

  it("has nothing more to do where it is finished, and still hands over what was trained", async () => {
    const whole = await trained("whole");
    forget();
    const again = await trained("whole");
    expect(again).toEqual({ end: whole.end, reports: [], saved: [STEPS], parameters: whole.parameters });
  });

  it("stops before a loss that is no number spoils what was learnt", async () => {
    const diverging = trained("whole", { checkpointMinutes: 0 }, function* (step) {
      const run = () => {
        session.gradients.values.fill(step === 3 ? Number.NaN : 0.1);
        return {};
      };
      yield { tokens: 1, run };
    });
    await expect(diverging).rejects.toThrow(/step 4 is no number.*lower --lr/);
    forget();
    const { reports } = await trained("whole");
    expect(reports[0]?.step).toBe(4);
  });
});
