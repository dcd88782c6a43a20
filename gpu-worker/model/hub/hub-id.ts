/** A repository on the Hugging Face hub. */
export type Repository = { owner: string; name: string };

/** What `hf:owner/name@revision:file` names. */
export type HubId = Repository & {
  /** A branch, a tag or a commit; `main` where nothing is said. */
  revision: string;
  /** One file of the repository; `null` leaves the choice to us. */
  file: string | null;
};

const PREFIX = "hf:";
const NAME = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}";
/** As git allows it, without what would lead elsewhere in an address. */
const REVISION = "(?!.*\\.\\.)[A-Za-z0-9_][A-Za-z0-9_./+-]{0,199}";
const ID = new RegExp(`^(?<owner>${NAME})/(?<name>${NAME})(?:@(?<revision>${REVISION}))?(?::(?<file>.+))?$`);

/** A revision that never comes to mean anything else. */
export const isCommit = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision);

export const isHubId = (text: string): boolean => text.startsWith(PREFIX);

/** As the user writes it. */
export function hubIdText({ owner, name, revision, file }: HubId): string {
  const at = revision === "main" ? "" : `@${revision}`;
  return `${PREFIX}${owner}/${name}${at}${file === null ? "" : `:${file}`}`;
}

/** @throws Error that says how an id is written */
export function parseHubId(text: string): HubId {
  const { owner, name, revision = "main", file = null } = ID.exec(text.slice(PREFIX.length))?.groups ?? {};
  const isSound = owner !== undefined && name !== undefined && (file === null || isInside(file));
  if (!isHubId(text) || !isSound) {
    throw new Error(
      `${text} names nothing on the Hugging Face hub. Write hf:owner/name, where needed with a branch, tag or commit and with one ` +
        "file: hf:owner/name@revision:file.gguf.",
    );
  }
  return { owner, name, revision, file };
}

/**
 * What to write instead, where a path that does not exist is written like a repository; else an empty text. A path is never taken
 * for one, for the file may only be missing.
 */
export function hubIdHint(path: string): string {
  const { name, file } = ID.exec(path)?.groups ?? {};
  const isFile = file === undefined && name !== undefined && /\.(gguf|safetensors|json)$/i.test(name);
  if (name === undefined || isFile || (file !== undefined && !isInside(file))) return "";
  return ` For the repository on the Hugging Face hub write ${PREFIX}${path}.`;
}

/** Whether a file name from elsewhere stays below the directory that it is joined to, on every system. */
export function isInside(file: string): boolean {
  const isPlain = (segment: string) => !["", ".", ".."].includes(segment);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
  return !/[\\:\u0000-\u001f\u007f]/.test(file) && file.split("/").every(isPlain);
}
