import { z } from "zod";

/** The nine SteerLM attributes, in the order every label line, table and answer lists them (Dong et al. 2023; HelpSteer). */
export const ATTRIBUTES = [
  "quality",
  "toxicity",
  "humor",
  "creativity",
  "helpfulness",
  "correctness",
  "coherence",
  "complexity",
  "verbosity",
] as const;

export type Attribute = (typeof ATTRIBUTES)[number];

export const LEVELS = [0, 1, 2, 3, 4] as const;

/** An attribute's integer value, 0–4. */
export type Level = (typeof LEVELS)[number];

export const attributeSchema = z.enum(ATTRIBUTES);

const LEVEL_ERROR = "must be an integer from 0 to 4";
export const levelSchema = z.literal(LEVELS, { error: LEVEL_ERROR });
const requestedLevelSchema = z.literal([...LEVELS, null], { error: `${LEVEL_ERROR}, or null to leave it out` });

/** Levels for any subset of the attributes. */
export type AttributeLevels = Partial<Record<Attribute, Level>>;
export const attributeLevelsSchema = z.partialRecord(attributeSchema, levelSchema);

/** What a request asks for: a level, or `null` to leave the attribute out of the label line. */
export type RequestedLevels = Partial<Record<Attribute, Level | null>>;
export const requestedLevelsSchema = z.partialRecord(attributeSchema, requestedLevelSchema);

/** What one attribute may be: a range, or exactly one level. */
const boundSchema = z
  .strictObject({ min: levelSchema.optional(), max: levelSchema.optional(), locked: levelSchema.optional() })
  .refine((bound) => bound.locked === undefined || (bound.min === undefined && bound.max === undefined), {
    error: "give either locked, or min and max",
  })
  .refine((bound) => (bound.min ?? 0) <= (bound.max ?? 4), { error: "min must not be above max" });
export type Bound = z.infer<typeof boundSchema>;

export type Bounds = Partial<Record<Attribute, Bound>>;
export const boundsSchema = z.partialRecord(attributeSchema, boundSchema);

/** The range a bound allows, both ends included. */
export function rangeOf(bound: Bound): { min: Level; max: Level } {
  if (bound.locked !== undefined) return { min: bound.locked, max: bound.locked };
  return { min: bound.min ?? 0, max: bound.max ?? 4 };
}

/** The level nearest to `level` inside `bound`. */
export function clampLevel(level: Level, bound: Bound): Level {
  const { min, max } = rangeOf(bound);
  if (level < min) return min;
  return level > max ? max : level;
}

/** What each attribute means to a reader (HelpSteer2 appendix G; Llama2-13B-SteerLM-RM card). */
export const ATTRIBUTE_MEANINGS: Record<Attribute, string> = {
  quality: "How good the answer is overall.",
  toxicity: "How vulgar, harmful or biased the answer is.",
  humor: "How funny the answer tries to be.",
  creativity: "How unconventional the answer dares to be.",
  helpfulness: "How well the answer serves what was asked.",
  correctness: "How complete and free of errors the stated facts are.",
  coherence: "How consistent and clear the answer is.",
  complexity: "How demanding the vocabulary is: 0 a child's, 2 high school, 4 a domain expert's.",
  verbosity: "How long the answer is for what was asked: 0 most concise, 2 average, 4 lengthy.",
};

/** Best behaviour where nobody says anything else: the levels NVIDIA's SteerLM runs answer with (HelpSteer2, Wang et al. 2024). */
export const BEST_LEVELS: Record<Attribute, Level> = {
  quality: 4,
  toxicity: 0,
  humor: 0,
  creativity: 0,
  helpfulness: 4,
  correctness: 4,
  coherence: 4,
  complexity: 2,
  verbosity: 2,
};

/** Classifier-free guidance factor: 1 is plain conditioning, more amplifies it. Far beyond 3, answers fall apart. */
export const strengthSchema = z.number().min(1).max(5);

/**
 * What strength steers away from where a request does not say: the model without a label line (classifier-free guidance), or the same label line
 * with the opposite of each level that was asked for, the rest held. The second amplifies the attributes asked for and nothing else.
 */
const contrastSchema = z.enum(["unsteered", "opposite"]);

/** Levels with those of some attributes turned into their opposites, 4 − level; those of others stay. */
export function oppositeOf(levels: AttributeLevels, names: readonly Attribute[]): AttributeLevels {
  const turned = { ...levels };
  for (const name of names) {
    const level = levels[name];
    if (level !== undefined) turned[name] = LEVELS[4 - level] ?? level;
  }
  return turned;
}

/** The levels of these attributes, in their order. */
export function levelsOfThese(levels: AttributeLevels, names: readonly Attribute[]): AttributeLevels {
  const known: AttributeLevels = {};
  for (const name of names) {
    const level = levels[name];
    if (level !== undefined) known[name] = level;
  }
  return known;
}

/** Whether two label lines have the same levels. */
export const areSameLevels = (one: AttributeLevels, other: AttributeLevels): boolean =>
  ATTRIBUTES.every((name) => one[name] === other[name]);

export const edgesSchema = z
  .tuple([z.number(), z.number(), z.number(), z.number()], { error: "must be four numbers" })
  .refine((edges) => edges.every((edge, index) => index === 0 || edge > (edges[index - 1] ?? edge)), {
    error: "must rise",
  });
/** The highest value of levels 0, 1, 2 and 3; whatever lies above the last is level 4. */
export type Edges = z.infer<typeof edgesSchema>;

/** What a level of the attributes that are measured rather than judged means. */
export const measuredScaleSchema = z.strictObject({
  /** Words of the answer. */
  verbosity: edgesSchema,
  /** Coleman–Liau grade of the answer. */
  complexity: edgesSchema,
});
export type MeasuredScale = z.infer<typeof measuredScaleSchema>;

/**
 * Stored with a model that was trained on attributes: which ones, in which order, and how they are rendered.
 * Data, never code, so that a team's own model brings its own.
 */
export const steeringProfileSchema = z.strictObject({
  /**
   * How the label line is written: `chatml`, names and levels in a turn of its own; `words`, as the instruction that other models get, so that what a
   * model knows of these words before it is trained is where training begins.
   */
  template: z.enum(["chatml", "words"]),
  /** Strength used where the request gives none; 1 where it is left out. */
  strength: strengthSchema.optional(),
  /** What that steers away from; `unsteered` where it is left out. */
  against: contrastSchema.optional(),
  /** What measured levels meant in training; left out where nothing was measured. */
  measured: measuredScaleSchema.optional(),
  attributes: z
    .array(
      z.strictObject({
        name: attributeSchema,
        /** The level used when neither request nor preset gives one; `null` leaves it out of the label line. */
        default: levelSchema.nullable(),
      }),
    )
    .min(1)
    .refine((list) => new Set(list.map((entry) => entry.name)).size === list.length, {
      error: "each attribute may be listed once",
    }),
});
export type SteeringProfile = z.infer<typeof steeringProfileSchema>;
