import { InvalidArgumentError } from "commander";
import { type Moderation, moderationSchema } from "../../schema/api/moderation.ts";
import { attributeSchema, type Bound, type Bounds, levelSchema } from "../../schema/attributes.ts";

/** An option's value that may be `null`, which Commander by itself takes for a value that is missing. */
export type Given<T> = { value: T };

/** Keeps what a parser returns, `null` too. */
export const given =
  <T>(parse: (text: string) => T) =>
  (text: string): Given<T> => ({ value: parse(text) });

/** Names with commas between them. */
export function names(text: string): string[] {
  const list = text.split(",").map((name) => name.trim());
  if (list.includes("")) throw new InvalidArgumentError("Must be one name, or several with commas between them.");
  return list;
}

/** Names with commas between them, or `all`, which is no limit. */
export const namesOrAll = (text: string) => (text === "all" ? null : names(text));

export function positiveNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < 1) {
    throw new InvalidArgumentError("Must be a whole number, 1 or more.");
  }
  return value;
}

/** A limit: a whole number, or `none`. */
export function limit(text: string): number | null {
  if (text === "none") return null;
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError("Must be a whole number, or none for no limit.");
  }
  return value;
}

function bound(text: string): Bound {
  if (text === "any") return {};
  const [, from = "", to] = /^(\d)(?:\.\.(\d))?$/.exec(text) ?? [];
  const levels = [from, to ?? from].map((level) => levelSchema.safeParse(level === "" ? null : Number(level)).data);
  const [min, max] = levels;
  if (min === undefined || max === undefined || min > max) {
    throw new InvalidArgumentError(
      "Must be attribute=level, attribute=lowest..highest or attribute=any, levels 0 to 4.",
    );
  }
  return to === undefined ? { locked: min } : { min, max };
}

/** `humor=0..2,toxicity=0,verbosity=any`: a range, a locked level, no bound. */
export function bounds(text: string): Bounds {
  return Object.fromEntries(
    names(text).map((entry) => {
      const [name, value = "", ...rest] = entry.split("=");
      const attribute = attributeSchema.safeParse(name);
      if (!attribute.success)
        throw new InvalidArgumentError(`${name} is no attribute: ${attributeSchema.options.join(", ")}.`);
      return [attribute.data, bound([value, ...rest].join("="))];
    }),
  );
}

/** `block=1`, `annotate=2`: what becomes of answers above that level; or `none`. */
export function moderation(text: string): Moderation | null {
  if (text === "none") return null;
  const [mode, above = "", ...rest] = text.split("=");
  const parsed = moderationSchema.safeParse({ mode, above: /^\d$/.test(above) ? Number(above) : null });
  if (parsed.success && rest.length === 0) return parsed.data;
  throw new InvalidArgumentError("Must be block=level or annotate=level, levels 0 to 3, or none.");
}

const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 };

/** `90s`, `15m`, `24h` or `30d`, in seconds. */
export function duration(text: string): number {
  const [, count, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  const seconds = Object.entries(SECONDS).find(([name]) => name === unit)?.[1];
  if (seconds === undefined) throw new InvalidArgumentError("Must be a time such as 90s, 15m, 24h or 30d.");
  return Number(count) * seconds;
}

/** When something expires, in Unix seconds: after a time such as `90d`, at a date such as `2027-01-31`, or `never`. */
export function expiry(text: string, now: number): number | null {
  if (text === "never") return null;
  if (/^\d+[smhd]$/.test(text)) return Math.floor(now / 1000) + duration(text);
  const at = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at)) {
    throw new InvalidArgumentError(
      "Must be a time such as 90d, a date such as 2027-01-31 or 2027-01-31T12:00Z, or never.",
    );
  }
  return Math.floor(at / 1000);
}
