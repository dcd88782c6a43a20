import { ATTRIBUTES, type AttributeLevels, LEVELS } from "../../../schema/attributes.ts";
import type { Evaluation } from "./evaluation.ts";
import { MEASURES, type Measure } from "./measures.ts";
import { changeText, factorText, intervalText, percent, signed, table, valueText } from "./report-format.ts";
import type { Leakage, Report, Response, SweepReport } from "./report-schema.ts";
import type { System } from "./steered-answer.ts";

/** A chart beside the report. */
export type Figure = { file: string; caption: string };

const SYSTEM_NAMES: Record<System, string> = {
  adapter: "adapter",
  base: "plain model",
  words: "plain model, in words",
  control: "control, shuffled labels",
};

/** `report.md`: a report as people read it. */
export function reportText(report: Report, figures: readonly Figure[]): string {
  return [
    "# How far answers follow what is asked for",
    summary(report),
    section(
      "Does it obey?",
      "ρ is Spearman's correlation of the level asked for with what was measured, within each prompt and then the mean over prompts, with its 95 % " +
        "bootstrap interval by prompt; 0 is no effect, 1 is perfect order. Rising pairs: how often one level more gave more.",
      obedience(report),
    ),
    ...figures.map(({ file, caption }) => `![${caption}](${file})`),
    section(
      "By every measure",
      "ρ of the adapter's answers. A level that moves other measures than its own leaks.",
      proxies(report),
    ),
    section(
      "How exactly",
      "Measured level against the level asked for: a slope of 1 and an error of 0 would be exact.",
      accuracy(report),
    ),
    section(
      "Leakage",
      "Levels by which the column's attribute was measured to change for each level more of the row's. What is asked for should move most (bold where it does).",
      ...report.leakage.map(leakage),
    ),
    section(
      "What steering costs",
      "The adapter's answers less the plain model's own to the same prompts, by level. Repetition is the share of repeated runs of four words; " +
        "perplexity is the plain model's, as a factor.",
      costs(report),
    ),
    ...(report.combinations.length === 0
      ? []
      : [
          section(
            "Levels asked for together",
            "Beside each mean, that of the same level in the attribute's own sweep.",
            combinations(report),
          ),
        ]),
  ].join("\n\n");
}

const section = (title: string, ...paragraphs: string[]): string => [`## ${title}`, ...paragraphs].join("\n\n");

const CONTRASTS: Record<Evaluation["against"], string> = {
  unsteered: "model without a label line",
  held: "held levels alone",
  opposite: "same label line with the opposite level (4 − level)",
};

function summary({ evaluation, prompts, answers, asked, cut, base }: Report): string {
  const { answering, samples, against, scorers } = evaluation;
  const judged = [
    scorers.judge && "a second attribute prediction model",
    scorers.apm && "the one that labelled the training data",
  ];
  const by = judged.filter((one) => one !== undefined);
  return [
    `- ${answers} of ${asked} answers to ${prompts} prompts, ${samples} to each under each label line, up to ${answering.max_tokens} tokens ` +
      `(${percent(cut)} were cut there), temperature ${answering.temperature}, min-p ${answering.min_p}, seed ${answering.seed}.`,
    `- Strength steers away from the ${CONTRASTS[against]}.`,
    `- Measured by rules${by.length === 0 ? " alone: judged attributes need --judge" : `, and by ${by.join(" and ")}`}.`,
    `- The plain model's own answers: ${valueText(base.words, 0)} words, Coleman–Liau grade ${valueText(base.coleman_liau, 1)}.`,
    `- Model \`${answering.model.slice(0, 12)}\`, adapter \`${answering.adapter.slice(0, 12)}\`.`,
  ].join("\n");
}

/** Attribute by attribute, so that strengths and systems can be compared line by line. */
const byAttribute = ({ sweeps, evaluation }: Report): SweepReport[] =>
  evaluation.attributes.flatMap((attribute) => sweeps.filter((sweep) => sweep.attribute === attribute));

function obedience(report: Report): string {
  const rows = byAttribute(report).map((sweep) => {
    const response = responseOf(sweep);
    return [
      nameOf(sweep),
      SYSTEM_NAMES[sweep.system],
      String(sweep.strength),
      sweep.deciding ?? "nothing",
      intervalText(response?.rho, 2),
      intervalText(response?.rising_pairs, 2),
      ...LEVELS.map((level) => valueText(response?.levels[level]?.mean, 1)),
    ];
  });
  const head = [
    "attribute",
    "who",
    "strength",
    "measured by",
    "ρ",
    "rising pairs",
    ...LEVELS.map((level) => `${level}`),
  ];
  return table(head, rows);
}

function proxies(report: Report): string {
  const own = byAttribute(report).filter(({ system }) => system === "adapter");
  const found = MEASURES.filter((measure) => own.some(({ measures }) => measures[measure] !== undefined));
  const head = ["measure", ...own.map((sweep) => `${nameOf(sweep)} at ${sweep.strength}`)];
  return table(
    head,
    found.map((measure) => [measure, ...own.map(({ measures }) => intervalText(measures[measure]?.rho, 2))]),
  );
}

function accuracy(report: Report): string {
  const rows = byAttribute(report).flatMap((sweep) => {
    if (sweep.accuracy === null) return [];
    const { measure, slope, mean_absolute_error, within_one } = sweep.accuracy;
    const numbers = [slope, mean_absolute_error, within_one].map((one) => intervalText(one, 2));
    return [[nameOf(sweep), SYSTEM_NAMES[sweep.system], String(sweep.strength), measure, ...numbers]];
  });
  return table(["attribute", "who", "strength", "measured by", "slope", "mean error", "within one level"], rows);
}

function leakage({ system, strength, rows, columns, slope, diagonal_largest }: Leakage): string {
  const lines = rows.map((attribute, row) => [
    attribute,
    ...columns.map((column, index) => {
      const value = slope[row]?.[index] ?? null;
      const shown = value === null ? "–" : signed(value, 2);
      return column === attribute && diagonal_largest[row] === true ? `**${shown}**` : shown;
    }),
  ]);
  return `${SYSTEM_NAMES[system]}, strength ${strength}:\n\n${table(["asked ＼ measured", ...columns], lines)}`;
}

function costs(report: Report): string {
  const { quality_measure } = report;
  const rows = byAttribute(report)
    .filter(({ system }) => system === "adapter")
    .flatMap((sweep) =>
      LEVELS.map((level) => {
        const than = (measure: Measure | null) => (measure === null ? undefined : sweep.against_base[level]?.[measure]);
        return [
          nameOf(sweep),
          String(sweep.strength),
          String(level),
          changeText(than(sweep.deciding), 1),
          changeText(than(quality_measure), 2),
          changeText(than("repeated_4grams"), 3),
          factorText(than("log_perplexity")),
        ];
      }),
    );
  const head = [
    "attribute",
    "strength",
    "level",
    "of its own measure",
    quality_measure ?? "quality",
    "repetition",
    "perplexity",
  ];
  return table(head, rows);
}

function combinations({ combinations: all }: Report): string {
  const rows = all.flatMap(({ levels, strength, attributes }) =>
    attributes.map(({ attribute, measured, alone, within_one }) => [
      levelsText(levels),
      String(strength),
      attribute,
      intervalText(measured, 1),
      intervalText(alone, 1),
      intervalText(within_one, 2),
    ]),
  );
  return table(["asked for", "strength", "attribute", "measured", "alone", "within one level"], rows);
}

export const responseOf = ({ deciding, measures }: SweepReport): Response | undefined =>
  deciding === null ? undefined : measures[deciding];

/** "complexity (verbosity 2)". */
export function nameOf({ attribute, held }: Pick<SweepReport, "attribute" | "held">): string {
  const beside = levelsText(held);
  return beside === "" ? attribute : `${attribute} (${beside})`;
}

const levelsText = (levels: AttributeLevels): string =>
  ATTRIBUTES.flatMap((name) => (levels[name] === undefined ? [] : [`${name} ${levels[name]}`])).join(", ");
