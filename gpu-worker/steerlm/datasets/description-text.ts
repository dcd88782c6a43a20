import { ATTRIBUTES, LEVELS } from "../../../schema/attributes.ts";
import type { Description } from "./describe.ts";

/** Rows of cells in columns, the first to the left, the others to the right. */
export function aligned(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

const whole = (count: number) => count.toLocaleString("en");

/** A description as a person reads it. */
export function descriptionText({ attributes, correlations, ...rest }: Description): string {
  const sources = Object.entries(rest.sources).map(([name, count]) => [`  ${name}`, whole(count)]);
  const overview = [
    ["conversations", whole(rest.conversations)],
    ...(sources.length > 1 ? sources : []),
    ["trees", whole(rest.trees)],
    ...(rest.pairs > 0 ? [["pairs", whole(rest.pairs)]] : []),
    ["turns a conversation", rest.turns.per_conversation.toFixed(2)],
    ["questions", whole(rest.turns.user)],
    ["answers", whole(rest.turns.assistant)],
  ];
  const words = (["user", "assistant"] as const).flatMap((role) => {
    const of = rest.words[role];
    const name = role === "user" ? "a question" : "an answer";
    if (of === undefined) return [];
    return [[name, of.mean.toFixed(1), ...[of.min, of.p25, of.median, of.p75, of.p95, of.max].map(whole)]];
  });
  const labels = ATTRIBUTES.flatMap((name) => {
    const of = attributes[name];
    if (of === undefined) return [];
    const missing = `${(of.missing_rate * 100).toFixed(1)} %`;
    return [[name, whole(of.labelled), missing, of.mean.toFixed(2), ...of.histogram.map(whole)]];
  });
  const tables = [
    aligned(overview),
    ...(words.length === 0
      ? []
      : [aligned([["words of", "mean", "min", "25 %", "median", "75 %", "95 %", "max"], ...words])]),
    ...(labels.length === 0
      ? []
      : [aligned([["labels", "answers", "missing", "mean", ...LEVELS.map((level) => `level ${level}`)], ...labels])]),
    ...(correlations.attributes.length < 2
      ? []
      : [
          aligned([
            ["correlation", ...correlations.attributes],
            ...correlations.attributes.map((name, index) => [
              name,
              ...(correlations.r[index] ?? []).map((r) => (r === null ? "–" : r.toFixed(2))),
            ]),
          ]),
        ]),
  ];
  return tables.join("\n\n");
}
