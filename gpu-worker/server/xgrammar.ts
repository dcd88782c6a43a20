type Xgrammar = typeof import("@mlc-ai/web-xgrammar");

/** As much of it as is used here: no type library of Node's describes it. */
declare const WebAssembly: { Memory: { prototype: { readonly buffer: ArrayBuffer; grow(pages: number): number } } };

/** Most memory that one grammar may take. A vocabulary of 49 152 tokens and a usual schema take 30 MB. */
const MEMORY = 256 * 1024 * 1024;
const PAGE = 65_536;

/**
 * Loads xgrammar, and changes the thread to suit it; a thread that did this should do nothing else. The package says it is an ES
 * module and is a script for browsers: it asks `location` where it is, and leaves its exports in a global.
 *
 * @param onMessage what the library has to say; it aborts on what it cannot do, and the last message before that is why.
 */
export async function loadXgrammar(onMessage: (line: string) => void): Promise<Xgrammar> {
  const name = "@mlc-ai/web-xgrammar";
  Object.assign(globalThis, { location: { href: import.meta.resolve(name) } });
  console.error = (line: unknown) => onMessage(String(line));
  limitMemory();
  await import(name);
  const library: unknown = Reflect.get(globalThis, "xgrammar");
  if (!isXgrammar(library)) throw new Error(`${name} has not left its exports where they were expected`);
  return library;
}

function isXgrammar(value: unknown): value is Xgrammar {
  return typeof value === "object" && value !== null && "GrammarCompiler" in value;
}

/** WebAssembly has no limit that could be set from outside: a schema may ask for as much as it likes. */
function limitMemory(): void {
  const { grow } = WebAssembly.Memory.prototype;
  WebAssembly.Memory.prototype.grow = function (pages: number): number {
    if (this.buffer.byteLength + pages * PAGE > MEMORY) throw new RangeError("The grammar needs too much memory");
    return grow.call(this, pages);
  };
}
