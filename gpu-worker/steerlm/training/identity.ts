/** All that the numbers of a training run depend on: its options, and hashes of the model and the data. */
export type Identity = Readonly<Record<string, string | number | boolean | null>>;

/** What differs, each in words a person can act on; empty where nothing does. */
export function identityDifferences(before: Identity, now: Identity): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(now)]);
  const text = (value: Identity[string] | undefined) => (value === undefined ? "nothing" : String(value));
  return [...names].flatMap((name) =>
    before[name] === now[name] ? [] : [`${name}: ${text(before[name])} when it was begun, ${text(now[name])} now`],
  );
}
