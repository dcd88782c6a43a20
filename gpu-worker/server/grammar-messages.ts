import type { Tokenizer } from "../model/tokenizer.ts";

/** The JSON schema, as text, that an answer must follow; `strict`: objects have no properties but those it names. */
export type GrammarSource = { schema: string; strict: boolean };

/** What a grammar's thread is started with. */
export type GrammarSetup = {
  tokens: ReturnType<Tokenizer["tokenByteTable"]>;
  eosIds: number[];
  source: GrammarSource;
};

/** `refused`: the library cannot compile the source, and the thread has ended. */
export type FromGrammar = { type: "ready" } | { type: "refused"; reason: string };
