/** Prints a result as JSON, or for people: a line for each figure, groups of figures under their name. */
export function printResult(result: object, json: boolean): void {
  console.log(json ? JSON.stringify(result, null, 2) : resultText(result));
}

/** A result's figures, one a line; matrices a row each. */
function resultText(result: object, indent = ""): string {
  const lines = Object.entries(result).map(([name, value]: [string, unknown]) => {
    const label = `${indent}${name.replaceAll("_", " ")}`;
    if (Array.isArray(value) || typeof value !== "object" || value === null) return `${label}: ${figure(value)}`;
    return `${label}\n${resultText(value, `${indent}  `)}`;
  });
  return lines.join("\n");
}

function figure(value: unknown): string {
  if (value === null) return "–";
  if (Array.isArray(value)) {
    const isRow = value.every((one) => typeof one === "number");
    return isRow ? value.map(figure).join("  ") : value.map((row) => figure(row)).join(" | ");
  }
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  return value.toFixed(Math.abs(value) < 10 ? 4 : 2);
}
