/**
 * Tokens a second while every row decodes: from when the last row has its first token to when the first row has its last one.
 *
 * Where an engine lets rows decode while others' prompts are still read, those tokens do not count.
 *
 * @param rows when each row's tokens came, in milliseconds
 */
export function decodeRate(rows: readonly (readonly number[])[]): number {
  const begin = Math.max(...rows.map((times) => times[0] ?? Number.NaN));
  const end = Math.min(...rows.map((times) => times.at(-1) ?? Number.NaN));
  const tokens = rows.flat().filter((time) => time > begin && time <= end).length;
  return (tokens / (end - begin)) * 1000;
}
