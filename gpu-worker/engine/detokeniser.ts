/** The bytes of every token, packed: token `id` is `bytes[offsets[id] … offsets[id + 1]]`. */
export type TokenBytes = { bytes: Uint8Array; offsets: Uint32Array };

/**
 * Turns tokens into text as they come. Works on bytes, so that a character whose UTF-8 is spread over several tokens goes out
 * whole, once; one that never becomes whole does not go out.
 */
export class Detokeniser {
  readonly #table: TokenBytes;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  constructor(table: TokenBytes) {
    this.#table = table;
  }

  push(token: number): string {
    const { bytes, offsets } = this.#table;
    return this.#decoder.decode(bytes.subarray(offsets[token], offsets[token + 1]), { stream: true });
  }
}
