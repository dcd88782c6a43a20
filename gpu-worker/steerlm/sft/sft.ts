import { basename, join } from "node:path";
import { pullModel } from "../../model/pull.ts";
import { saveAdapter } from "../../model/save-adapter.ts";
import { Interruption } from "../interruption.ts";
import { adapterMatrices } from "../training/adapter-matrices.ts";
import { type OpenTraining, openTraining } from "../training/open-training.ts";
import { trainingProgress } from "../training/progress.ts";
import { RunDirectory } from "../training/run-directory.ts";
import { seededDraws } from "../training/seeded-draws.ts";
import { openStartAdapter } from "../training/start-adapter.ts";
import { type MicroBatch, type TrainingEnd, train } from "../training/train.ts";
import { ADAMW, CLIP, scheduleOf } from "../training/training-options.ts";
import { ExampleSource } from "./example-source.ts";
import { levelTable, readSftData, type SftData } from "./sft-data.ts";
import { type SftFlags, sftIdentity } from "./sft-flags.ts";
import { examplesOf, sftBatches } from "./sft-step.ts";

/** Exit status of a program that Ctrl-C ended. */
const INTERRUPTED = 130;

/**
 * `attune sft`: trains a LoRA in `flags.out`, or goes on with a training that was begun there.
 *
 * @throws Error that says what to do
 */
export async function runSft(files: readonly string[], flags: SftFlags): Promise<void> {
  const { steps } = scheduleOf(flags);
  using interruption = new Interruption();
  const { signal } = interruption;
  const say = (text: string) => console.error(text);
  using run = await RunDirectory.open(flags.out, { resume: flags.resume });
  const model = await pullModel({ path: flags.model, signal, onNotice: say });
  const data = await readSftData(files, flags, model, signal);
  say(levelTable(data));
  const adapter = join(run.path, "adapter");
  const { step, isFinished } = await trainOn(data, { flags, model, run, adapter, signal, say });
  if (isFinished) {
    say(`Trained ${step} steps. Serve the adapter with --adapter ${adapter}.`);
    return;
  }
  say(`Interrupted after ${step} of ${steps} steps. Go on with the same command and --resume.`);
  process.exitCode = INTERRUPTED;
}

type SftRun = {
  flags: SftFlags;
  model: string;
  run: RunDirectory;
  /** Where the adapter is written. */
  adapter: string;
  signal: AbortSignal;
  say: (text: string) => void;
};

async function trainOn(data: SftData, { flags, model, run, adapter, signal, say }: SftRun): Promise<TrainingEnd> {
  const { rank, alpha, start, precision } = flags;
  const batchesOf = sftSteps(data, flags);
  say(`Loading ${model}.`);
  const lora = { rank, scale: alpha / rank };
  await using begun = start === undefined ? null : await openStartAdapter(start, lora);
  const opened = await openTraining(model, { kind: "reply", purpose: "train", lora, precision }, flags);
  const { session, config, content } = opened;
  const saved = { baseModel: basename(model), rank, alpha, profile: data.profile };
  try {
    await begun?.copyTo(session.parameters, config);
    return await train(
      {
        session,
        run,
        identity: {
          model: content,
          data: data.hash,
          ...(begun !== null && { "--start": begun.contentHash }),
          ...sftIdentity(flags),
        },
        schedule: scheduleOf(flags),
        optimiser: ADAMW,
        clip: CLIP,
        checkpointMinutes: flags.checkpointMinutes,
        signal,
        onStep: trainingProgress({ isTerminal: process.stderr.isTTY, write: say, now: () => performance.now() }),
        onCheckpoint: () =>
          saveAdapter(adapter, { ...saved, modules: adapterMatrices(session.parameters, config, rank) }),
      },
      (step) => batchesOf(step, opened),
    );
  } finally {
    session.release();
  }
}

/** What each step is made of: a function of seed and step. */
function sftSteps({ rows, ...how }: SftData, flags: SftFlags) {
  const { balance, focus, keep, dropAll, contrast, seed } = flags;
  const source = new ExampleSource(rows, {
    ...how,
    balance: balance === "on",
    focus,
    dropout: { keep, all: dropAll },
    hasPairs: contrast > 0,
  });
  return (step: number, opened: OpenTraining): Iterable<MicroBatch> => {
    const random = seededDraws(`${seed}:step ${step}`);
    return sftBatches(
      examplesOf(() => source.next(random), flags),
      contrast,
      flags,
      opened,
    );
  };
}
