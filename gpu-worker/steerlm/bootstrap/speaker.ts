import { ATTRIBUTES, type Attribute, type SteeringProfile } from "../../../schema/attributes.ts";
import { readTrainedAdapter } from "../../model/trained-adapter.ts";

/** Who answers: an adapter under the label lines that it was trained on, or the plain model, asked in words. */
export type Speaker = {
  /** Of the adapter; `null`: the plain model. */
  profile: SteeringProfile | null;
  /** What can be asked for. */
  known: readonly Attribute[];
  /** Begins a sentence on what that is. */
  name: string;
  /** A text that differs where answers may. */
  identity: string;
};

/** @throws Error that says what to do where the adapter was not trained on attributes, or where the flags name neither */
export async function speakerOf(flags: { adapter?: string; words?: readonly Attribute[] }): Promise<Speaker> {
  const { adapter, words } = flags;
  if (adapter !== undefined) {
    const { profile, identity } = await readTrainedAdapter(adapter);
    return { profile, known: profile.attributes.map(({ name }) => name), name: adapter, identity };
  }
  if (words === undefined) {
    throw new Error(
      "Say who answers: an adapter by --adapter, or the plain model by --words and the attributes to ask for, such as " +
        "--words complexity,verbosity.",
    );
  }
  const known = ATTRIBUTES.filter((name) => words.includes(name));
  return { profile: null, known, name: "--words", identity: `words: ${known.join(", ")}` };
}
