import type { GenerateRequest } from "../../schema/wire/generate.ts";

/** Characters of a message that tell conversations apart. What is longer and begins alike also has most of its computing in common. */
const COMPARED = 1024;

/** A 32-bit hash (FNV-1a, mixed as murmur3 does in the end). For placement only: it keeps no secret and proves nothing. */
function hash32(text: string, seed = 0x811c9dc5): number {
  let hash = seed;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/**
 * What all turns of one conversation have in common, and other conversations have not: the model, and the messages up to the first of the
 * user's, a preset's persona among them. A worker has computed it before, and need not do so again.
 */
export function affinityOf({ model, messages }: Pick<GenerateRequest, "model" | "messages">): number {
  const first = messages.findIndex(({ role }) => role === "user");
  const beginning = first === -1 ? messages : messages.slice(0, first + 1);
  return beginning.reduce(
    (hash, { role, content }) => hash32(`${role}\n${content.slice(0, COMPARED)}\n`, hash),
    hash32(model),
  );
}

/**
 * Where a worker stands in the order of those that a conversation prefers, the lowest first: weighted rendezvous hashing. Each worker
 * comes first for its share of conversations by weight, and when one goes, only its own conversations move.
 */
export function rankOf(affinity: number, { origin, weight }: { origin: string; weight: number }): number {
  const uniform = (hash32(origin, affinity) + 0.5) / 2 ** 32;
  return -Math.log(uniform) / weight;
}
