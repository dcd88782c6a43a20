/** Words of a request, one length after another: chat turns, and pasted texts. */
const LENGTHS = [16, 64, 160, 320];

/**
 * Questions of mixed length, none of which begins as another does, so that no prefix cache helps beyond the system message.
 *
 * @param round makes them differ from every other round's
 */
export function mixedContents(text: string, round: number, count: number): string[] {
  const words = text.split(/\s+/).filter((word) => word !== "");
  return Array.from({ length: count }, (_, index) => {
    const number = round * count + index;
    const length = LENGTHS[index % LENGTHS.length] ?? 1;
    const excerpt = Array.from({ length }, (_, at) => words[(number * 37 + at) % words.length]);
    return `${number + 1}. Continue this text, at length: ${excerpt.join(" ")}`;
  });
}
