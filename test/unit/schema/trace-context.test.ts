import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatTraceparent, parseTraceparent, readTracestate } from "../../../schema/wire/trace-context.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";

describe("traceparent", () => {
  it("is read as it is written, for every trace", () => {
    const id = (length: number) =>
      fc
        .string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: length, maxLength: length })
        .filter((text) => /[^0]/.test(text));
    fc.assert(
      fc.property(id(32), id(16), fc.boolean(), (traceId, spanId, sampled) => {
        const context = { traceId, spanId, sampled };
        expect(parseTraceparent(formatTraceparent(context))).toEqual(context);
      }),
    );
  });

  it("reads the flag it knows of several, and a later version's first four fields", () => {
    expect(parseTraceparent(`00-${TRACE}-${SPAN}-03`)).toEqual({ traceId: TRACE, spanId: SPAN, sampled: true });
    expect(parseTraceparent(`00-${TRACE}-${SPAN}-02`)?.sampled).toBe(false);
    expect(parseTraceparent(`cc-${TRACE}-${SPAN}-01-what-the-future-brings`)?.traceId).toBe(TRACE);
  });

  it.each([
    null,
    undefined,
    "",
    `00-${TRACE}-${SPAN}`,
    `00-${TRACE}-${SPAN}-01-more`,
    `cc-${TRACE}-${SPAN}-01more`,
    `ff-${TRACE}-${SPAN}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${"0".repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${"0".repeat(16)}-01`,
    `00-${TRACE.slice(1)}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-1`,
    `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`,
    ` 00-${TRACE}-${SPAN}-01\n`,
  ])("is not read where it is malformed: %j", (header) => {
    expect(parseTraceparent(header)).toBeNull();
  });
});

describe("tracestate", () => {
  it.each(["rojo=00f067aa0ba902b7", "rojo=1, congo=t61rcWkgMzE", "tenant@vendor=a b", "a=1,,b=2"])(
    "is passed on as it is: %j",
    (header) => {
      expect(readTracestate(header)).toBe(header);
    },
  );

  it.each([
    null,
    "",
    "noequals",
    "=value",
    "Upper=1",
    "a=1,a=2",
    "a=tab\there",
    "a=é",
    Array.from({ length: 33 }, (_, index) => `k${index}=1`).join(","),
    `a=${"x".repeat(600)}`,
  ])("is dropped where it is malformed or too long: %j", (header) => {
    expect(readTracestate(header)).toBeNull();
  });
});
