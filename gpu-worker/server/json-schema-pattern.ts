/** Characters that a JSON string only holds escaped. xgrammar writes what a pattern matches as it is. */
const needsEscape = (from: number, to: number) =>
  from < 0x20 || (from <= 0x22 && to >= 0x22) || (from <= 0x5c && to >= 0x5c);

/** Whether every text that a `pattern` matches is its own JSON string, and xgrammar reads the pattern as JSON Schema does. */
export function isPlainPattern(pattern: string): boolean {
  // \d, \w and escaped punctuation, all of which match plain characters, become one of these.
  const unescaped = pattern.replaceAll(/\\(?:[dw]|[^A-Za-z0-9"\\])/g, "x");
  if (/["\\\p{Cc}]/u.test(unescaped)) return false;
  const classes = [...unescaped.matchAll(/\[([^\]]*)\]/g)].map(([, characters = ""]) => characters);
  if (classes.some((characters) => characters.startsWith("^") || hasUnplainRange(characters))) return false;
  const outside = unescaped.replaceAll(/\[[^\]]*\]/g, "x");
  return !outside.includes(".") && !hasLooseAlternatives(outside);
}

function hasUnplainRange(characters: string): boolean {
  return [...characters.matchAll(/(.)-(.)/gu)].some(([, from = "", to = ""]) =>
    needsEscape(from.codePointAt(0) ?? 0, to.codePointAt(0) ?? 0),
  );
}

/** `^a|b$` outside of parentheses: xgrammar takes the anchors, and the quotation marks, for parts of the alternatives. */
function hasLooseAlternatives(pattern: string): boolean {
  let depth = 0;
  for (const character of pattern) {
    if (character === "(") depth++;
    else if (character === ")") depth--;
    else if (character === "|" && depth === 0) return true;
  }
  return false;
}
