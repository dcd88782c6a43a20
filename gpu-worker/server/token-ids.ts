import type { Sampling } from "../../schema/api/chat.ts";
import { AttuneError } from "../../schema/wire/errors.ts";

/**
 * Refuses token ids that the model does not have: a mistaken id would go unnoticed.
 *
 * @throws AttuneError `invalid_request`
 */
export function checkTokenIds({ logit_bias, stop_token_ids }: Sampling, vocabulary: number): void {
  const ids = { logit_bias: Object.keys(logit_bias).map(Number), stop_token_ids };
  for (const [param, tokens] of Object.entries(ids)) {
    const unknown = tokens.find((token) => token >= vocabulary);
    if (unknown === undefined) continue;
    throw new AttuneError(
      "invalid_request",
      `${param}: the model has no token ${unknown}, only 0 to ${vocabulary - 1}`,
      {
        param,
      },
    );
  }
}
