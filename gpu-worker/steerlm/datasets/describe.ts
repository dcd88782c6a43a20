import { ATTRIBUTES, type Attribute, LEVELS } from "../../../schema/attributes.ts";
import { countWords } from "../../model/text-statistics.ts";
import { levelOf } from "../rounding.ts";
import { unitHash } from "../unit-hash.ts";
import { type Conversation, type Turn, treeKey } from "./conversation.ts";

/** Quantiles of a turn's words. */
type Words = { mean: number; min: number; p25: number; median: number; p75: number; p95: number; max: number };

/** One attribute's labels: how many answers have none, and how many have each level. */
type LabelCounts = { labelled: number; missing: number; missing_rate: number; mean: number; histogram: number[] };

export type Description = {
  conversations: number;
  sources: Record<string, number>;
  trees: number;
  pairs: number;
  turns: { user: number; assistant: number; per_conversation: number };
  words: { user?: Words; assistant?: Words };
  /** Attributes that have a label anywhere. */
  attributes: Partial<Record<Attribute, LabelCounts>>;
  /** Pearson's r over the answers that have both labels; null where fewer than two have, or one of them never changes. */
  correlations: { attributes: Attribute[]; r: (number | null)[][]; answers: number[][] };
};

/** Sums from which Pearson's r comes. */
type Sums = { n: number; x: number; y: number; xx: number; yy: number; xy: number };

/** Counts conversations as they go by. A turn that several conversations share counts once, as far as the source names its turns. */
export class Describer {
  readonly #sources = new Map<string, number>();
  readonly #trees = new Set<number>();
  readonly #pairs = new Set<string>();
  readonly #seen = new Set<string>();
  readonly #words = { user: [] as number[], assistant: [] as number[] };
  readonly #labels = new Map<Attribute, number[]>();
  readonly #sums = new Map<string, Sums>();
  #conversations = 0;
  #turns = 0;

  add(conversation: Conversation): void {
    const { source, pair, turns } = conversation;
    this.#conversations++;
    this.#turns += turns.length;
    this.#sources.set(source, (this.#sources.get(source) ?? 0) + 1);
    this.#trees.add(unitHash(treeKey(conversation)));
    if (pair !== undefined) this.#pairs.add(`${source} ${pair}`);
    for (const turn of turns) {
      // One thread may hold a shared turn with its labels and another without.
      const labelled = turn.labels !== undefined;
      if (turn.id === undefined) {
        this.#addWords(turn);
        this.#addLabels(turn);
        continue;
      }
      if (this.#isNew(`${source} ${turn.id}`)) this.#addWords(turn);
      if (labelled && this.#isNew(`${source} ${turn.id} labels`)) this.#addLabels(turn);
    }
  }

  #isNew(key: string): boolean {
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    return true;
  }

  #addWords({ role, text }: Turn): void {
    this.#words[role].push(countWords(text));
  }

  #addLabels({ labels = {} }: Turn): void {
    for (const [index, name] of ATTRIBUTES.entries()) {
      const x = labels[name];
      if (x === undefined) continue;
      const values = this.#labels.get(name) ?? [];
      values.push(x);
      this.#labels.set(name, values);
      for (const other of ATTRIBUTES.slice(index)) {
        const y = labels[other];
        if (y === undefined) continue;
        const key = `${name} ${other}`;
        const sums = this.#sums.get(key) ?? { n: 0, x: 0, y: 0, xx: 0, yy: 0, xy: 0 };
        this.#sums.set(key, {
          n: sums.n + 1,
          x: sums.x + x,
          y: sums.y + y,
          xx: sums.xx + x * x,
          yy: sums.yy + y * y,
          xy: sums.xy + x * y,
        });
      }
    }
  }

  get description(): Description {
    const answers = this.#words.assistant.length;
    const names = ATTRIBUTES.filter((name) => this.#labels.has(name));
    const sums = (a: Attribute, b: Attribute) => this.#sums.get(`${a} ${b}`) ?? this.#sums.get(`${b} ${a}`);
    const user = wordsOf(this.#words.user);
    const assistant = wordsOf(this.#words.assistant);
    return {
      conversations: this.#conversations,
      sources: Object.fromEntries(this.#sources),
      trees: this.#trees.size,
      pairs: this.#pairs.size,
      turns: {
        user: this.#words.user.length,
        assistant: answers,
        per_conversation: this.#conversations === 0 ? 0 : this.#turns / this.#conversations,
      },
      words: { ...(user && { user }), ...(assistant && { assistant }) },
      attributes: Object.fromEntries(names.map((name) => [name, labelCounts(this.#labels.get(name) ?? [], answers)])),
      correlations: {
        attributes: names,
        r: names.map((a) => names.map((b) => pearson(sums(a, b)))),
        answers: names.map((a) => names.map((b) => sums(a, b)?.n ?? 0)),
      },
    };
  }
}

function labelCounts(labels: readonly number[], answers: number): LabelCounts {
  const levels = labels.map(levelOf);
  return {
    labelled: labels.length,
    missing: answers - labels.length,
    missing_rate: answers === 0 ? 0 : (answers - labels.length) / answers,
    mean: labels.reduce((sum, label) => sum + label, 0) / labels.length,
    histogram: LEVELS.map((level) => levels.filter((one) => one === level).length),
  };
}

function pearson(sums: Sums | undefined): number | null {
  if (sums === undefined || sums.n < 2) return null;
  const { n, x, y, xx, yy, xy } = sums;
  const spread = Math.sqrt((n * xx - x * x) * (n * yy - y * y));
  return spread > 1e-9 ? Math.max(-1, Math.min(1, (n * xy - x * y) / spread)) : null;
}

function wordsOf(counts: readonly number[]): Words | undefined {
  if (counts.length === 0) return undefined;
  const sorted = counts.toSorted((a, b) => a - b);
  const quantile = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
  return {
    mean: counts.reduce((sum, count) => sum + count, 0) / counts.length,
    min: quantile(0),
    p25: quantile(0.25),
    median: quantile(0.5),
    p75: quantile(0.75),
    p95: quantile(0.95),
    max: quantile(1),
  };
}
