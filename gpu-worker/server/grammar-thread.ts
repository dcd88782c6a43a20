/**
 * A thread for one grammar. The library takes seconds to compile some schemas, aborts on those it cannot compile, and cannot be
 * interrupted: none of that may happen where requests are served.
 */
import { parentPort, workerData } from "node:worker_threads";
import { failMask, MaskWriter } from "../engine/token-mask.ts";
import { BYTE_CHARACTERS } from "../model/byte-level.ts";
import type { FromGrammar, GrammarSetup } from "./grammar-messages.ts";
import { loadXgrammar } from "./xgrammar.ts";

/** Whitespace between two elements, in characters: room to indent, and an end for a model that loses itself in it. */
const WHITESPACE = 20;

const port = parentPort;
if (port === null) throw new Error("This file runs as a worker thread");
const post = (message: FromGrammar) => port.postMessage(message);

const { tokens, eosIds, source }: GrammarSetup = workerData;
let lastMessage = "";
const xgrammar = await loadXgrammar((line) => {
  if (line.startsWith("[FATAL]")) lastMessage = line;
});

/** Control characters must be escaped in JSON, and xgrammar lets some pass in strings of a given length. Line breaks it does not. */
const isStray = (byte: number) => byte < 0x20 && byte !== 0x0a && byte !== 0x0d;

/**
 * The tokens in the byte-level alphabet. No grammar allows an empty one, which is what control tokens are, for they add nothing to
 * a text.
 */
function spelledTokens(): string[] {
  const { bytes, offsets } = tokens;
  return Array.from({ length: offsets.length - 1 }, (_, id) => {
    const token = bytes.subarray(offsets[id], offsets[id + 1]);
    return token.some(isStray) ? "" : Array.from(token, (byte) => BYTE_CHARACTERS[byte] ?? "").join("");
  });
}

async function compile() {
  const words = spelledTokens();
  const info = await xgrammar.TokenizerInfo.createTokenizerInfo(words, "byte_level", false, words.length, eosIds);
  const compiler = await xgrammar.GrammarCompiler.createGrammarCompiler(info, false);
  return compiler.compileJSONSchema(source.schema, true, undefined, undefined, source.strict, WHITESPACE);
}

/** The library's words, without the place in its source. */
function reason(error: unknown): string {
  const said = /\.cc:\d+: (.*)/.exec(lastMessage)?.[1];
  return said ?? (error instanceof Error ? error.message : String(error));
}

const grammar = await compile().catch((error: unknown) => {
  post({ type: "refused", reason: reason(error) });
  return null;
});

/** Writes a mask before each token of one answer, until the answer is over. */
async function follow(compiled: NonNullable<typeof grammar>, buffer: SharedArrayBuffer): Promise<void> {
  const writer = new MaskWriter(buffer);
  try {
    const matcher = await xgrammar.GrammarMatcher.createGrammarMatcher(compiled);
    while (!matcher.isTerminated()) {
      writer.write(await matcher.getNextTokenBitmask());
      const token = await writer.nextToken();
      if (token === null || !matcher.acceptToken(token)) break;
    }
    matcher.dispose();
  } finally {
    // Ends the wait for a mask that will not come. An answer that is over does not wait.
    failMask(buffer);
  }
}

if (grammar === null) port.close();
else {
  port.on("message", (buffer: SharedArrayBuffer) => void follow(grammar, buffer));
  post({ type: "ready" });
}
