import type { TopLevelSpec } from "vega-lite";
import { LEVELS } from "../../../schema/attributes.ts";
import type { Report, SweepReport } from "./report-schema.ts";
import { type Figure, nameOf, responseOf } from "./report-text.ts";

/** A chart as data; `render` draws it. */
export type Chart = Figure & { spec: TopLevelSpec };

const WHO: Record<SweepReport["system"], (strength: number) => string> = {
  adapter: (strength) => `adapter, strength ${strength}`,
  base: () => "plain model",
  words: () => "plain model, in words",
  control: (strength) => `control, strength ${strength}`,
};

const UNITS: Record<string, string> = { words: "words", coleman_liau: "Coleman–Liau grade" };

/** Levels between two points of the same level. */
const BESIDE = 0.06;

const CONFIG = { font: "sans-serif", background: "white", axis: { grid: true, gridOpacity: 0.4 } };

/** The charts of a report: for each attribute what was measured at each level, and how attributes leak into others. */
export function chartsOf(report: Report): Chart[] {
  const attributes = report.evaluation.attributes.flatMap((attribute) => curveChart(report, attribute) ?? []);
  return [...attributes, ...(report.leakage.length === 0 ? [] : [leakageChart(report)])];
}

function curveChart({ sweeps }: Report, attribute: SweepReport["attribute"]): Chart | null {
  const own = sweeps.filter((sweep) => sweep.attribute === attribute);
  const [first] = own;
  const values = own.flatMap((sweep, index) =>
    LEVELS.flatMap((level) => {
      const mean = responseOf(sweep)?.levels[level]?.mean;
      if (!mean) return [];
      const { value, low, high } = mean;
      // Side by side, so that no interval hides another.
      const at = level + BESIDE * (index - (own.length - 1) / 2);
      return [{ at, value, low: low ?? value, high: high ?? value, who: WHO[sweep.system](sweep.strength) }];
    }),
  );
  if (first === undefined || values.length === 0) return null;
  const unit = UNITS[first.deciding ?? ""] ?? `level, as ${first.deciding} reads it`;
  const who = [...new Set(values.map((value) => value.who))];
  return {
    file: `${attribute}.svg`,
    caption: `What ${attribute} was measured to be at each level that was asked for`,
    spec: {
      width: 460,
      height: 280,
      title: `${nameOf(first)}: asked for and measured, with 95 % intervals`,
      data: { values },
      config: CONFIG,
      encoding: {
        x: {
          field: "at",
          type: "quantitative",
          title: "level asked for",
          axis: { values: [...LEVELS] },
          scale: { padding: 16 },
        },
        color: { field: "who", type: "nominal", title: null, sort: who, legend: { orient: "right", labelLimit: 220 } },
      },
      layer: [
        { mark: { type: "line" }, encoding: { y: { field: "value", type: "quantitative", title: unit } } },
        { mark: { type: "rule" }, encoding: { y: { field: "low", type: "quantitative" }, y2: { field: "high" } } },
        { mark: { type: "point", filled: true, size: 40 }, encoding: { y: { field: "value", type: "quantitative" } } },
      ],
    },
  };
}

function leakageChart({ leakage }: Report): Chart {
  const values = leakage.flatMap(({ system, strength, rows, columns, slope }) =>
    rows.flatMap((asked, row) =>
      columns.flatMap((measured, column) => {
        const value = slope[row]?.[column] ?? null;
        return value === null ? [] : [{ asked, measured, value, who: WHO[system](strength) }];
      }),
    ),
  );
  const reach = Math.max(1, ...values.map(({ value }) => Math.abs(value)));
  const [first] = leakage;
  return {
    file: "leakage.svg",
    caption: "How much each attribute is measured to change for a level more of another",
    spec: {
      title: "Measured levels for each level asked for",
      data: { values },
      config: CONFIG,
      facet: { field: "who", type: "nominal", title: null, sort: [...new Set(values.map(({ who }) => who))] },
      columns: 3,
      spec: {
        width: { step: 64 },
        height: { step: 36 },
        encoding: {
          x: {
            field: "measured",
            type: "nominal",
            title: "measured",
            axis: { grid: false },
            sort: first?.columns ?? [],
          },
          y: { field: "asked", type: "nominal", title: "asked for", axis: { grid: false }, sort: first?.rows ?? [] },
        },
        layer: [
          {
            mark: "rect",
            encoding: {
              color: {
                field: "value",
                type: "quantitative",
                title: null,
                scale: { scheme: "redblue", domain: [-reach, reach] },
              },
            },
          },
          {
            mark: "text",
            encoding: {
              text: { field: "value", type: "quantitative", format: "+.2f" },
              color: { condition: { test: `abs(datum.value) > ${reach / 2}`, value: "white" }, value: "black" },
            },
          },
        ],
      },
    },
  };
}

/** A chart as SVG, drawn without a browser. */
export async function render({ spec }: Chart): Promise<string> {
  // Loaded when there is something to draw: a worker that serves never needs them.
  const [{ parse, View }, { compile }] = await Promise.all([import("vega"), import("vega-lite")]);
  const view = new View(parse(compile(spec).spec), { renderer: "none" });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}
