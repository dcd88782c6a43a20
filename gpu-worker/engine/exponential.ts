const STEPS_PER_OCTAVE = 32;
const OCTAVES = 64;
const END = STEPS_PER_OCTAVE * OCTAVES;

/** Steps of `decay` in which it falls by a factor of e. */
export const STEPS_PER_NAT: number = STEPS_PER_OCTAVE * Math.LOG2E;
const NATS_PER_STEP = 1 / STEPS_PER_NAT;

/** 2^(−step / 32). Square roots and halves are rounded alike everywhere; powers are not. */
const POWERS = new Float64Array(END);
const ROOT = Math.sqrt(Math.sqrt(Math.sqrt(Math.sqrt(Math.sqrt(0.5)))));
POWERS[0] = 1;
for (let step = 1; step < POWERS.length; step++) {
  const octaveAbove = POWERS[step - STEPS_PER_OCTAVE];
  POWERS[step] = octaveAbove === undefined ? (POWERS[step - 1] ?? 0) * ROOT : octaveAbove / 2;
}

/**
 * 2^(−steps / 32) for steps ≥ 0, within 5·10⁻¹¹ of the true value relatively, and 0 from 2⁻⁶⁴ on. Of plain arithmetic, so that it is the
 * same on every machine, which Math.exp is not, and quick, for a sampler takes one of every token in the vocabulary. Logits are
 * float32, whose own rounding is larger.
 */
export function decay(steps: number): number {
  if (!(steps < END)) return 0;
  const whole = steps | 0;
  const rest = (steps - whole) * NATS_PER_STEP;
  // Taylor to the fourth order: rest < 0.022.
  return (POWERS[whole] ?? 0) * (1 - rest * (1 - rest * (0.5 - rest * (1 / 6 - rest * (1 / 24)))));
}
