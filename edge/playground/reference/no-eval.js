// The page may not compile code out of texts, and what is in scalar.js need not try: it finds out by itself, but the browser logs an error.
globalThis.__zod_globalConfig = { jitless: true };
