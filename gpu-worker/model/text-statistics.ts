/** What the readability formulas are made of. */
export type TextCounts = { words: number; sentences: number; letters: number; syllables: number };

const LETTER = /\p{L}/gu;
const LETTER_OR_DIGIT = /[\p{L}\p{N}]/u;

/** Their full stop ends no sentence. */
const ABBREVIATIONS = new Set(["mr", "mrs", "ms", "dr", "prof", "st", "vs", "etc", "e.g", "i.e", "cf", "approx"]);

/** A sentence's last word: its mark may be followed by closing quotes and brackets. */
const SENTENCE_END = /[.!?…]+["'’”»)\]*_]*$/u;

/** Letters of the longest word. What is longer is none, and the patterns here take the square of a word's length. */
const LONGEST_WORD = 128;

function endsSentence(text: string): boolean {
  const word = text.slice(-LONGEST_WORD);
  if (!SENTENCE_END.test(word)) return false;
  const bare = word.replace(SENTENCE_END, "").replace(/^[^\p{L}\p{N}]+/u, "");
  // "1." starts an item of a list.
  return !ABBREVIATIONS.has(bare.toLowerCase()) && !/^\d{1,3}$/.test(bare);
}

/** Words of a line: runs without white space that hold a letter or a digit, so "well-known", "don't" and "3.14" are one each. */
const wordsOf = (line: string): string[] => line.split(/\s+/u).filter((word) => LETTER_OR_DIGIT.test(word));

/**
 * Counts a text by rule. A sentence ends at a full stop, question or exclamation mark before white space, and at the end of a line: headings
 * and items of a list, of which answers are full, have no full stop.
 */
export function countText(text: string): TextCounts {
  const counts: TextCounts = { words: 0, sentences: 0, letters: 0, syllables: 0 };
  for (const line of text.split(/\r?\n/u)) {
    let open = false;
    for (const word of wordsOf(line)) {
      counts.words++;
      counts.letters += word.match(LETTER)?.length ?? 0;
      counts.syllables += syllablesOf(word);
      open = !endsSentence(word) && (open || /\p{L}/u.test(word));
      if (endsSentence(word)) counts.sentences++;
    }
    if (open) counts.sentences++;
  }
  return counts;
}

export const countWords = (text: string): number => wordsOf(text).length;

const either = (...patterns: RegExp[]) => new RegExp(patterns.map(({ source }) => source).join("|"), "g");

/** Vowels side by side that belong to two syllables. */
const HIATUS = either(
  // radio, material, but nation, social
  /(?<![tscgln])i[aou](?!us)/,
  // various, obvious, but precious
  /(?<=[rldv])ious/,
  // science, quiet, but patience, piece
  /(?<!t)ie(?=t|nc)/,
  // idea, area, create, theory
  /(?<=[dhr])ea$|(?<=cr)ea(?=t)|(?<=^th)e[ao]/,
  // being, trying
  /[aeiouy](?=ing)/,
  // player, royal
  /(?<=[ao])y(?=[ae])/,
  // video, actual, influence
  /(?<=[dr])eo|(?<=[tdv])ua|(?<=l)ue(?=n)/,
);

/** Ends of a word that has a vowel before them, and that sound like no syllable. */
const SILENT_END = either(
  // make, whole, but table
  /(?<=[aeiouy].*)(?<![aeiouy]|[^aeiouyrwl]l)e$/,
  // baked, but wanted
  /(?<=[aeiouy].*)(?<![dtaeiou])ed$/,
  // likes, but boxes, watches, tables
  /(?<=[aeiouy].*)(?<![aeiouycsxzg]|[^aeiouyrwl]l|[cst]h)es$/,
);

const PART = new RegExp(`[a-z]{1,${LONGEST_WORD}}`, "g");

function syllablesOfPart(letters: string): number {
  const voiced = letters.replace(SILENT_END, "");
  const groups = voiced.match(/[aeiouy]+/g)?.length ?? 0;
  return Math.max(1, groups + (voiced.match(HIATUS)?.length ?? 0));
}

/** Syllables of an English word by its vowels, as the readability formulas are computed in practice; off by one for some words. */
export function syllablesOf(word: string): number {
  const plain = word.normalize("NFD").replace(/[\p{M}'’]/gu, "");
  const parts = plain.toLowerCase().match(PART) ?? [];
  return Math.max(
    1,
    parts.reduce((sum, part) => sum + syllablesOfPart(part), 0),
  );
}

/** The American school grade that a text asks for (Coleman and Liau 1975), from letters and sentences per 100 words; undefined without words. */
export function colemanLiauGrade({ words, sentences, letters }: TextCounts): number | undefined {
  if (words === 0) return undefined;
  return 0.0588 * ((100 * letters) / words) - 0.296 * ((100 * sentences) / words) - 15.8;
}

/** The American school grade that a text asks for (Kincaid et al. 1975), from words per sentence and syllables per word; undefined without words. */
export function fleschKincaidGrade({ words, sentences, syllables }: TextCounts): number | undefined {
  if (words === 0) return undefined;
  return 0.39 * (words / Math.max(1, sentences)) + 11.8 * (syllables / words) - 15.59;
}
