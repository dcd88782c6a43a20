import { readFile } from "node:fs/promises";
import { type SteeringProfile, steeringProfileSchema } from "../../schema/attributes.ts";
import { parseJsonFile } from "./json-file.ts";

/** @throws Error that names what is wrong with it */
export function parseProfile(path: string, text: string): SteeringProfile {
  return parseJsonFile(path, text, steeringProfileSchema, "a steering profile");
}

/** @throws Error where the file cannot be read, or is not a steering profile */
export async function readProfile(path: string): Promise<SteeringProfile> {
  return parseProfile(path, await readFile(path, "utf8"));
}
