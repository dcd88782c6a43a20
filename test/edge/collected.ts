import { z } from "zod";

const hex = (length: number) => z.string().regex(new RegExp(`^(?!0+$)[0-9a-f]{${length}}$`));
const nanoseconds = z.string().regex(/^[1-9]\d{18}$/);

/** Exactly one of OTLP's values. */
const valueSchema = z.union([
  z.strictObject({ stringValue: z.string() }),
  z.strictObject({ intValue: z.string().regex(/^-?\d+$/) }),
  z.strictObject({ boolValue: z.boolean() }),
]);
const attributesSchema = z.array(z.strictObject({ key: z.string().min(1), value: valueSchema }));

const spanSchema = z
  .strictObject({
    traceId: hex(32),
    spanId: hex(16),
    parentSpanId: hex(16).optional(),
    traceState: z.string().optional(),
    flags: z.int().nonnegative(),
    name: z.string().min(1),
    kind: z.union([z.literal(1), z.literal(2), z.literal(3)]),
    startTimeUnixNano: nanoseconds,
    endTimeUnixNano: nanoseconds,
    attributes: attributesSchema,
    status: z.strictObject({ code: z.literal([1, 2]).optional() }),
  })
  .refine((span) => BigInt(span.endTimeUnixNano) >= BigInt(span.startTimeUnixNano), "ends before it begins");
type CollectedSpan = z.infer<typeof spanSchema>;

/** ExportTraceServiceRequest of opentelemetry-proto 1.x, as JSON; strict, so that a field which OTLP does not have is refused. */
export const exportSchema = z.strictObject({
  resourceSpans: z
    .array(
      z.strictObject({
        resource: z.strictObject({ attributes: attributesSchema }),
        scopeSpans: z.array(
          z.strictObject({ scope: z.strictObject({ name: z.string() }), spans: z.array(spanSchema).min(1) }),
        ),
      }),
    )
    .min(1),
});

/** What a collector was sent in one request; tests read it at `GET /received?trace=<trace id>`. */
export type Received = {
  spans: CollectedSpan[];
  headers: Record<string, string | string[] | undefined>;
  body: string;
};
